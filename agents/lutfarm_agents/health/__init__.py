"""Whether a device can measure: one check, and its findings."""
