"""How two sides are printed, workload by workload: what `compare` and `lut diff` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm.cli.terminal.output import Column, latency, print_rows
from lutfarm.lut.diff import Change
from lutfarm_jobs.measurement_key import short_name


@dataclass(frozen=True, slots=True)
class PrintedRatio:
    """One workload: B over A with its interval, what that says, and one more cell; `flags`: of each column of them."""

    workload: str
    ratio: float
    low: float
    high: float
    verdict: str
    more: object
    a_estimate: float
    b_estimate: float
    flags: Sequence[str]


def change(ratio: float, *, differs: bool) -> Change:
    """In a word."""
    if not differs:
        return "no difference"
    return "slower" if ratio > 1 else "faster"


def print_ratios(rows: Sequence[PrintedRatio], *, confidence: float, more: str, flags: Sequence[str]) -> None:
    """`more` and `flags`: the headings of the cells that the two commands do not share."""
    print_rows(
        [
            Column("workload", "key"),
            "B / A",
            f"{100 * confidence:g} % interval",
            "verdict",
            more,
            Column("A", beside="sides"),
            Column("B", beside="sides"),
            *(Column(name, "words") for name in flags),
        ],
        [
            [
                short_name(row.workload),
                f"{row.ratio:.3f}",
                f"{row.low:.3f} - {row.high:.3f}",
                row.verdict,
                row.more,
                latency(row.a_estimate),
                latency(row.b_estimate),
                *row.flags,
            ]
            for row in rows
        ],
    )
