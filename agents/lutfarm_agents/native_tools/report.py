"""What a tool said, as numbers that were checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lutfarm_jobs.errors import ProtocolMismatch
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.run import ToolSummary

LARGEST_S = 3600.0  # one inference that is said to take longer is nonsense
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


SHOWN = 400
MOST_LINES, LONGEST_LINE = 8, 200
# INFO: of TensorFlow Lite, a place in LiteRT's sources, the beginning of a line of Android's log.
PREFIX = re.compile(
    r"^\s*(?:\d\d-\d\d [\d:.]{8,20}\s+\d+\s+\d+ [VDIWEF] [^:\n]{1,40}: )?"
    r"(?:(?:INFO|VERBOSE|WARNING|WARN|ERROR): ?)?(?:\[[\w.]{1,80}:\d+\] ?)?"
)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a graph the asked delegate or provider ran; None where that is not printed."""

    taken: int | None
    total: int | None
    partly: bool  # something else ran the rest


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


def shown(text: str) -> str:
    """The end of what a tool printed, in one line."""
    return " ".join(text.split())[-SHOWN:] or "nothing"


def unknown_lines(said: str, known: re.Pattern[str]) -> tuple[str, ...]:
    """The lines that no known version prints, each once and cut; what there is beyond MOST_LINES of them is counted."""
    cut = (PREFIX.sub("", line).strip() for line in said.splitlines())
    found = list(dict.fromkeys(line[:LONGEST_LINE] for line in cut if line and not known.match(line)))
    more = len(found) - MOST_LINES
    return (*found[:MOST_LINES], f"and {more} more such lines") if more > 0 else tuple(found)
