"""Between units, and between the two sides of a comparison."""
