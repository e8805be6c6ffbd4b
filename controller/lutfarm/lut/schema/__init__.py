"""What a table holds: entries, manifest, calibration, validation, and what must be true of them."""
