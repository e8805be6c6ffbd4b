"""A machine that joins a served farm with the devices that hang on it."""
