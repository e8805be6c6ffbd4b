"""How far an estimate may be off: distributions, components of variance, shifts that entries share."""
