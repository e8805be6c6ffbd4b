"""A served farm from elsewhere, over its HTTP API.  Imports neither Ray nor a runtime nor a database."""
