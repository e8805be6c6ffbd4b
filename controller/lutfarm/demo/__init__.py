"""The demonstration: from this machine to a validated table and its report."""
