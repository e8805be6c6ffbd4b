"""What a table is good for, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lutfarm.cli.terminal.output import printable, say

if TYPE_CHECKING:
    from lutfarm.lut import LatencyTable
    from lutfarm.lut.verdict import Verdict


def say_verdict(found: Verdict) -> None:
    """First how much of a table is precise, then what follows from it, a line each."""
    for line in found.lines:
        say(printable(line))


def say_table(table: LatencyTable) -> None:
    """What is in a table, then how well it predicts networks, a line each device and backend."""
    for line in (table.contents(), *table.claims()):
        say(printable(line))


def anew_words(runs: int) -> str:
    """Why a table's figures may be others than before."""
    return (
        f"{runs} run{' is' if runs == 1 else 's are'} judged by what the canary has shown since: "
        "figures may be others than in an earlier table of this job"
    )
