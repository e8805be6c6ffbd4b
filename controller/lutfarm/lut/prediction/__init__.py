"""From a network to its latency, by adding entries up."""
