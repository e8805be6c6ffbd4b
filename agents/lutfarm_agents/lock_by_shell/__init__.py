"""A device's lock where a shell holds it, since there is no Python or a native tool runs; and what runs while it is held."""
