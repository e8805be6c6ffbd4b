"""What a device measures under: temperature, power, clocks, and the cores that measure."""
