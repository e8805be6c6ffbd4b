"""The command line: the only place that prints or exits."""

from lutfarm.cli.program import app, main

__all__ = ["app", "main"]
