"""A table as a table in Markdown, for people: written, never read."""

from lutfarm.lut import LatencyTable
from lutfarm.lut.formats.known import TableFormat


def dump(table: LatencyTable) -> bytes:
    """A line an entry; what was not measured has no figure."""
    lines = ["| workload | device | backend | estimate | |", "|---|---|---|---|---|"]
    for entry in table.entries:
        figure = "" if entry.estimate is None else f"{entry.estimate:.0f}"
        lines.append(f"| {entry.workload_key} | {entry.unit} | {entry.backend_key} | {figure} | {entry.quantity_unit} |")
    return ("\n".join(lines) + "\n").encode()


FORMAT = TableFormat(dump)
