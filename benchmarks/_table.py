"""What every benchmark shares: its two options, one table on standard output, the same figures as JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

DISTRIBUTIONS = ("lutfarm", "onnxruntime", "ai-edge-litert", "ray", "numpy", "pyarrow")


@dataclass(slots=True)
class Report:
    """One benchmark's table: `rows` in the order of `columns`, `notes` below it."""

    name: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, options: argparse.Namespace) -> None:
        """Print it, and write it where --json says."""
        table = Table(box=None, pad_edge=False)
        for index, column in enumerate(self.columns):
            numeric = all(isinstance(row[index], int | float | None) for row in self.rows)
            table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(escape(cell(value)) for value in row))
        console = Console(highlight=False, width=None if os.isatty(1) else 140)
        console.print(escape(self.name), soft_wrap=True)
        console.print(table)
        for note in self.notes:
            console.print(escape(note), soft_wrap=True)
        if options.json:
            options.json.write_text(json.dumps(self.plain(options), indent=2, allow_nan=False) + "\n")

    def plain(self, options: argparse.Namespace) -> dict[str, object]:
        """As JSON's own types."""
        return {
            "benchmark": self.name,
            "quick": options.quick,
            "time_s": round(time.time()),
            "machine": machine(),
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": self.notes,
        }


def options(description: str | None, *extra: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """The command line: --json FILE, --quick, and what this benchmark has besides."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="at most two minutes")
    for name, settings in extra:
        parser.add_argument(name, **settings)
    return parser.parse_args()


def machine() -> dict[str, object]:
    """What the figures were made on."""
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in DISTRIBUTIONS if _installed(name)},
    }


def cpu_model() -> str:
    """As Linux names it; the architecture where it doesn't."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def cell(value: object) -> str:
    """Floats with four digits, None as a dash."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def median_interval(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Median, and the order-statistic interval that covers it with at least `confidence`.

    With n values the interval from the k-th smallest to the k-th largest misses the median with probability
    2 P(Binomial(n, 1/2) < k).  Below six values nothing covers 95 %: the whole range is returned.
    """
    ranked = sorted(values)
    n = len(ranked)
    middle = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
    k = 0
    while 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n <= 1 - confidence:
        k += 1
    k = max(k, 1)
    return middle, ranked[k - 1], ranked[n - k]
