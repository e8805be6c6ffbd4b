"""The lock of a device that has no Python, and what runs while it is held."""
