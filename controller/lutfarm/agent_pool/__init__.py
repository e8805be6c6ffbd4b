"""Who measures where: orders in, events out, in this process or by Ray."""
