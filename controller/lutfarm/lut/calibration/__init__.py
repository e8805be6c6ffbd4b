"""What a few measured networks say of all the others."""
