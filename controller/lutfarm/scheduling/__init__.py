"""What a farm does next, decided from its state.  Pure."""
