"""`lutfarm job`."""
