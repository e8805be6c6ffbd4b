"""Where the API of a served farm begins."""

API = "/api/v1"
