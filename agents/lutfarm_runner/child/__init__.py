"""What the supervisor's children do: load a runtime and workloads, probe them, sample them."""
