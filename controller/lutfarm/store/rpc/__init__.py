"""The Store protocols over a socket: methods.py says what travels, remote.py asks, answer.py is asked."""
