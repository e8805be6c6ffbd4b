"""Numbers and flags in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

FLAG_WORDS: Mapping[str, str] = {
    "converged": "the interval is as narrow as the job asked for, from quiet slices of enough rounds",
    "not_precise": "the interval is wider than the job asked for, or too few rounds measured it",
    "reference_provisional": "the canary’s reference is not established yet, which takes 16 rounds over ten minutes on a machine "
    "that was shown to be idle, or rounds in eight different half hours: were the machine slow all the time, this number would "
    "be slow too, and nothing here would show it. "
    "Nothing speaks against the number; once the device is known better the same runs lose the flag",
    "reference_stale": "the canary settled away from its reference, or the rounds belong to times with different ones, so "
    "what counts as quiet is in doubt",
    "contended": "more than half of the visits found no quiet window; or, of a long workload, more than 3 % may be hidden "
    "between calm canaries",
    "no_quiet_window": "no quiet window came at all: the estimate is not that of the uncontended device",
    "rounds_disagree": "the rounds differ by a quarter or more, and too few agree to tell which of them something held up: "
    "this is no estimate, and the interval reaches over all of them",
    "preempted": "the operating system took the core away in more than half of the slices, or for 5 % of the time",
    "drift": "the latency moved in one direction from round to round, beyond chance",
    "changed": "from one round to the next the latency stepped to another level, beyond chance, and stayed there",
    "throttled": "the device said that it throttled, or its clock was a tenth lower after a round than before it, or "
    "than after another",
    "indistinct": "what the operator adds to the stubs around it can’t be told from nothing",
    "empty_outputs": "no output has any element for the inputs that it was run with: with inputs that leave something it may "
    "take many times as long; give values or shapes in the job",
    "nan_outputs": "the outputs hold NaN for the inputs that it was run with: with inputs that mean something it may take "
    "other ways, and another time; give values in the job",
    "nondeterministic": "it makes random numbers, so two runs put out different things, and could not be compared",
    "stateful": "it keeps a state from run to run, which went on while it was timed",
    "unbound_outputs": "its outputs can’t stay where they are, so each call allocates and copies them: some microseconds more "
    "than other entries have",
    "in_blocks": "the device’s clock is too coarse for single iterations: several lie between two readings, and percentiles and "
    "spreads are those of their means",
    "inputs_assumed": "what the model computes depends on inputs that the job says nothing of: with other values it may take "
    "many times as long; the job’s `values` say what they hold",
    "nothing_computed": "no output depends on what an input holds: the runtime may compute all of it when it loads the model, "
    "and what is timed is a copy",
    "partly_delegated": "the delegate or provider ran only part of the graph; the rest ran elsewhere, most likely on the CPU",
    "unknown_output": "the native tool printed lines that no known version of it prints: read them before you believe the number",
    "devices_left_out": "not every device of the pool has a result that counts here",
}
UNKNOWN_FLAG = "this report has no explanation of this flag"

_STATISTICS: Mapping[str, str] = {
    "p25_quiet": "the 25th percentile of the iterations of each round’s quiet slices, averaged in log over rounds",
    "p10_swept": "for long workloads the 10th percentile of each round’s iterations between two calm canaries, "
    "averaged in log over rounds",
    "tool_mean": "a native tool’s mean of each invocation, averaged in log over invocations; its neighbours are not known",
    "tool_median": "a native tool’s median of each invocation, averaged in log over invocations; its neighbours are not known",
    "p50_sustained": "after minutes of load, the median of each round’s last third, averaged in log over rounds",
    "sandwiched": "the 25th percentile between two thin convolutions, less what those take alone",
    "in_network": "the runtime’s own profiler inside whole networks, averaged in log over networks",
    "solved": "solved from whole networks by regression: the runtime has no profiler",
    "p25_contended": "where no quiet window came, the 25th percentile of the contended iterations, with an interval "
    "that reaches over everything that was observed",
}
_SITTING = "over rounds (fresh processes) of one sitting: another day’s sitting may differ by more than this"

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


def percent(share: float | None) -> str:
    """Two significant digits at least: `1.3 %`, `0.42 %`, `120 %`."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 99.5 else f"{value:#.2g} %".replace(". %", " %")


def signed_percent(share: float) -> str:
    """One digit after the point: `+6.0 %`, `−12.8 %`."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def scope(text: str) -> str:
    """What an interval is over, in words; a scope that is not known is quoted as it stands."""
    return _SITTING if text == "sitting" else f"over {text}"


def statistics(names: Collection[str]) -> list[str]:
    """How estimates are made of samples, in words, the usual way first; a name that is not known is quoted."""
    known = [name for name in _STATISTICS if name in names]
    return [_STATISTICS.get(name, name) for name in (*known, *sorted(set(names) - _STATISTICS.keys()))]


def shortened(text: str, most: int) -> str:
    """At most so many characters, both ends kept, nothing that is not printable."""
    clean = printable(text)
    if len(clean) <= most:
        return clean
    head = (most - 1) * 2 // 3
    return f"{clean[:head]}…{clean[len(clean) - (most - 1 - head) :]}"


def printable(text: str) -> str:
    """Control, formatting and private characters as �: a name must not turn the text around or break the XML."""
    return "".join("�" if unicodedata.category(c)[0] == "C" else c for c in text)
