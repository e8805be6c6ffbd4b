"""A table as a table in Markdown, for people: written, never read."""

from lutfarm.lut import LatencyTable
from lutfarm.lut.formats.known import TableFormat

HEAD = "| workload | device | backend | estimate | |"


def dump(table: LatencyTable) -> bytes:
    """A line an entry; what was not measured has no figure."""
    lines = [HEAD, "|---|---|---|---|---|"]
    for entry in table.entries:
        figure = "" if entry.estimate is None else f"{entry.estimate:.0f}"
        lines.append(f"| {entry.workload} | {entry.device} | {entry.backend} | {figure} | {entry.quantity_unit} |")
    return ("\n".join(lines) + "\n").encode()


def marked(content: bytes) -> bool:
    """Whether a file that is there is such a table, and may be replaced by one."""
    return content.startswith(HEAD.encode())


FORMAT = TableFormat(dump, marked=marked)
