"""From raw slices to what each process says."""
