"""Numbers and flags in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

FLAG_WORDS: Mapping[str, str] = {
    "converged": "the interval is as narrow as the job asked for",
    "reference_provisional": "the canary's reference was taken in the same sitting: were the machine slow all the "
    "time, this number would be slow too, and nothing here would show it",
    "reference_stale": "the canary's reference is older than it should be, or no longer fits the device",
    "contended": "some slices came from a machine that was not quiet; they are kept and not used for the estimate",
    "no_quiet_window": "no quiet window came: the estimate is not that of the uncontended device",
    "preempted": "the operating system took the core away during some slices",
    "drift": "the latency moved in one direction from process to process",
    "throttled": "the device lowered its clock while it was measured",
}
UNKNOWN_FLAG = "this report has no explanation of this flag"

_SCOPES: Mapping[str, str] = {
    "sitting": "over fresh processes of one sitting: another day's sitting may differ by more than this",
    "session": "over fresh processes of one sitting: another day's sitting may differ by more than this",
    "days": "over sittings on different days",
    "units": "over several units of the same kind",
}


_UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))


def latency(ns: float) -> str:
    """Four significant digits in a unit that suits: `12.30 µs`."""
    unit, size = _unit(ns)
    return f"{_digits(ns / size)} {unit}"


def tick(ns: float) -> str:
    """A round latency without the zeros that make it look exact: `20 µs`."""
    unit, size = _unit(ns)
    return f"{ns / size:.4g} {unit}"


def _unit(ns: float) -> tuple[str, float]:
    # 999.96 rounds to four digits as 1000: it is shown in the next unit.
    return next((unit for unit in _UNITS if abs(ns) >= unit[1] * 0.99995), _UNITS[-1])


def _digits(value: float) -> str:
    return f"{value:#.4g}".removesuffix(".")


def latency_interval(low_ns: float | None, high_ns: float | None) -> str:
    """Both ends in the unit of the upper one: `4.41 – 4.70 ms`; says so where there is none."""
    if low_ns is None or high_ns is None:
        return "no interval"
    unit, size = _unit(high_ns)
    return f"{_digits(low_ns / size)} – {_digits(high_ns / size)} {unit}"


def half_width(estimate_ns: float | None, low_ns: float | None, high_ns: float | None) -> float | None:
    """Half the interval as a share of the estimate; None where there is no interval."""
    if not estimate_ns or low_ns is None or high_ns is None:
        return None
    return (high_ns - low_ns) / 2 / estimate_ns


def percent(share: float | None) -> str:
    """Two significant digits at least: `1.3 %`, `0.42 %`, `120 %`."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 100 else f"{value:.2g} %"


def scope(text: str) -> str:
    """What an interval is over, in words; a scope that is not known is quoted as it stands."""
    return _SCOPES.get(text, text)


def shortened(text: str, most: int) -> str:
    """At most so many characters, both ends kept, nothing that is not printable."""
    clean = printable(text)
    if len(clean) <= most:
        return clean
    head = (most - 1) * 2 // 3
    return f"{clean[:head]}…{clean[len(clean) - (most - 1 - head):]}"


def printable(text: str) -> str:
    """Control, formatting and private characters as �: a name must not turn the text around or break the XML."""
    return "".join("�" if unicodedata.category(c)[0] == "C" else c for c in text)
