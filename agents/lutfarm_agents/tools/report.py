"""What a tool said, as numbers that were checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lutfarm_jobs.errors import ProtocolMismatch, WorkloadFailed
from lutfarm_jobs.measurement import Backend, ToolSummary

LARGEST_S = 3600.0                                 # one inference that is said to take longer is nonsense
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class ToolReport:
    """One invocation.  `samples_ns` are empty where the tool prints none."""

    summary: ToolSummary
    samples_ns: tuple[int, ...] = ()
    load_ns: int | None = None
    first_inference_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """`argv(binary, model, backend, runs)` and `parse(text, backend)`."""

    argv: Callable[[str, str, Backend, int], list[str]]
    parse: Callable[[str, Backend], ToolReport]


def plain(text: str) -> str:
    """Without colours and control characters."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in ANSI.sub("", text))


def time_ns(text: str, *, unit_ns: float, what: str) -> int:
    """A time that can be one.  Raises ProtocolMismatch."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not 0 < value * unit_ns <= LARGEST_S * 1e9:
        raise ProtocolMismatch(f"the tool said {text[:40]!r} for {what}, which no inference takes")
    return max(1, round(value * unit_ns))


def refuse_fallback(wanted: str, replaced: int, total: int, why: str) -> None:
    """A delegate that took nothing measured the CPU under another name.  Raises WorkloadFailed."""
    if replaced == 0:
        raise WorkloadFailed(f"the delegate {wanted} took none of the model's {total} nodes: {why}")
