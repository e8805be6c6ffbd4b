"""The HTML report of a table: one self-contained file."""

from lutfarm.report.page import render_report

__all__ = ["render_report"]
