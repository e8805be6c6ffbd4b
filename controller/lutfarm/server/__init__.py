"""The farm as a service: its API, and the dispatcher that measures."""
