"""Between devices, and between the two sides of a comparison."""
