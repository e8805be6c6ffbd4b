"""The routes under /api/v1, each of them: parse, call a use case, answer."""
