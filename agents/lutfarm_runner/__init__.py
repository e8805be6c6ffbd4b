"""The device side: Python 3.9 and newer, standard library only at import time."""

PROTOCOL = 1
