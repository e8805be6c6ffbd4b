"""The HTML report of a table: one self-contained file."""

from lutfarm.report.page import render_report
from lutfarm.report.rows import NetworkRow

__all__ = ["NetworkRow", "render_report"]
