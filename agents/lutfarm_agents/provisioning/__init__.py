"""What a device is given before it measures: the runner, a Python, model files."""
