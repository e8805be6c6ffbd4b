"""`lutfarm lut`: a module for each command."""
