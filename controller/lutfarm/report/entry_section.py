"""From a table's entries to what the page prints.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm.lut.grades import GRADES, grade_of
from lutfarm.lut.schema.entry import Entry
from lutfarm.report.plots import Point, latency_plot
from lutfarm.report.wording import FLAG_WORDS, UNKNOWN_FLAG, latency, latency_interval, percent, printable, scope, statistics
from lutfarm_jobs.measurement_key import named, short_name

EXTREMES = 10
GRADE_WORDS = {
    "precise": "the interval is as narrow as the job asked for, and nothing disturbed the measurement",
    "provisional": "as narrow, but what “quiet” means on this device is not established yet",
    "wide": "the interval is wider than the job asked for",
    "disturbed": "the machine was not quiet; the flags of the entry say how",
}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry, every field as it is printed; `sort_*` are what the script sorts by, empty where there is none."""

    name: str
    place: str
    latency: str
    interval: str
    half_width: str
    sort_latency: str
    sort_half_width: str
    rounds: str
    iterations: str
    rejected: str
    flags: tuple[str, ...]
    inputs: str
    failure: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The measured entries of one device and backend."""

    heading: str
    count: int
    plot: str  # an svg element
    fastest: tuple[EntryRow, ...]
    slowest: tuple[EntryRow, ...]
    confidence: str
    scope: str
    statistic: str


def workload_name(key: str) -> str:
    """An operator by its name alone; networks and files say what they are."""
    return printable(short_name(key))


def entry_rows(entries: Sequence[Entry]) -> list[EntryRow]:
    """All entries; their place names the device or the backend only where the table has more than one."""
    devices = len({entry.device for entry in entries}) > 1
    backends = len({entry.backend for entry in entries}) > 1
    return [entry_row(entry, place=", ".join([entry.device] * devices + [entry.backend] * backends)) for entry in entries]


def entry_row(entry: Entry, *, place: str = "") -> EntryRow:
    """One entry as it is printed."""
    shown = {"failed": "failed", "zero": "0, by structure"}.get(entry.kind) or latency(entry.estimate or 0.0)
    measured = entry.kind == "measured"
    width = entry.relative_half_width if measured else None
    return EntryRow(
        name=workload_name(entry.workload_label),
        place=printable(place),
        latency=shown,
        interval=latency_interval(entry.low, entry.high) if measured else "–",
        half_width=percent(width),
        sort_latency="" if entry.estimate is None else f"{entry.estimate:.1f}",
        sort_half_width="" if width is None else f"{width:.6f}",
        rounds=str(entry.rounds),
        iterations=str(entry.iterations),
        rejected=str(entry.slices_rejected),
        flags=tuple(printable(flag) for flag in entry.flags),
        inputs=printable(entry.inputs),
        failure=printable(entry.failure_code or ""),
        reason="\n".join(printable(line) for line in (entry.failure_detail or "").splitlines()),
    )


def groups(entries: Sequence[Entry], *, target: float | None) -> tuple[Group, ...]:
    """A plot and the extremes for each device and backend; whole networks have a plot of their own."""
    by_place: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.kind == "measured" and named(entry.workload, "network") is None:
            by_place.setdefault((entry.device, entry.backend), []).append(entry)
    return tuple(_group(number, place, by_place[place], target) for number, place in enumerate(sorted(by_place)))


def _group(number: int, place: tuple[str, str], entries: Sequence[Entry], target: float | None) -> Group:
    ranked = sorted(entries, key=lambda entry: (entry.estimate or 0.0, entry.workload))
    rows = [entry_row(entry) for entry in ranked]
    heading = printable(f"{place[1]} on {place[0]}")
    most = min(EXTREMES, (len(rows) + 1) // 2)
    return Group(
        heading=heading,
        count=len(rows),
        plot=latency_plot(
            [_point(entry) for entry in ranked], name=f"latency{number}", title=f"Latency by operator: {heading}", target=target
        ),
        fastest=tuple(rows[:most]),
        slowest=tuple(rows[-most:][::-1]),
        confidence=" and ".join(sorted({f"{100 * entry.confidence:g} %" for entry in ranked})),
        scope="; ".join(sorted({printable(scope(entry.scope)) for entry in ranked})),
        statistic="; ".join(printable(words) for words in statistics({entry.statistic for entry in ranked})),
    )


def _point(entry: Entry) -> Point:
    return Point(workload_name(entry.workload_label), entry.estimate or 0.0, entry.low, entry.high, grade_of(entry.flags))


def legend(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """What the marks of the latency plots mean, with how many entries have each."""
    counts = Counter(
        grade_of(entry.flags) for entry in entries if entry.kind == "measured" and named(entry.workload, "network") is None
    )
    return [{"name": grade, "count": counts[grade], "words": GRADE_WORDS[grade]} for grade in GRADES if counts[grade]]


def flag_words(entries: Sequence[Entry]) -> list[tuple[str, str, int]]:
    """Every flag that an entry carries, in words, with how many carry it."""
    counts = Counter(flag for entry in entries for flag in entry.flags)
    known = [flag for flag in FLAG_WORDS if flag in counts]
    others = sorted(counts.keys() - FLAG_WORDS.keys())
    return [(printable(flag), FLAG_WORDS.get(flag, UNKNOWN_FLAG), counts[flag]) for flag in (*known, *others)]
