"""The host side of a device: transports, sessions, agents.  Knows nothing of Ray."""
