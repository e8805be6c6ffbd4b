"""Writes the figures of --json files into docs/benchmarks.md: python benchmarks/_document.py FOLDER.

FOLDER holds round_time.json, overhead.json, ...; each replaces what stands between `<!-- round_time -->` and the next
`<!-- end -->`.  A benchmark without a file keeps what it has.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from _table import cell

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def block(found: dict[str, Any]) -> str:
    """A benchmark's figures as Markdown."""
    rows = found["rows"]
    columns = list(rows[0])
    lines = [f"**{found['benchmark']}**", "", *table([columns, *([row[name] for name in columns] for row in rows)])]
    lines += ["", *(f"- {note}" for note in found["notes"])] if found["notes"] else []
    machine = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    quick = "; a --quick run" if found["quick"] else ""
    return "\n".join(
        [*lines, "", f"<sub>{machine['cpu']}, {machine['cpus']} cores, Python {machine['python']}; {packages}{quick}</sub>"]
    )


def table(rows: list[list[object]]) -> list[str]:
    """Rows as a Markdown table, the first as its head."""
    lines = ["| " + " | ".join(cell(value).replace("|", "\\|") for value in row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def main() -> None:
    """Replace the blocks that have a file."""
    text = DOCUMENT.read_text()
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        pattern = re.compile(rf"(<!-- {re.escape(path.stem)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{DOCUMENT.name} has no place for {path.stem}: add <!-- {path.stem} --> and <!-- end -->")
        new = block(json.loads(path.read_text()))
        text = pattern.sub(lambda match, new=new: f"{match[1]}{new}\n{match[2]}", text)
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
