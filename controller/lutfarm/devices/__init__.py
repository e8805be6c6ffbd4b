"""Registered devices: how they are registered, checked, leased, and which Python they run."""
