"""The reference operator of a device: what is known of it, and which slices it lets pass."""
