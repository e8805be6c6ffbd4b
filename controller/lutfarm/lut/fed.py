"""What an entry says of the inputs that it was measured on.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lutfarm.lut.schema.entry import Entry
from lutfarm.statistics.estimates.flags import Flag
from lutfarm_jobs.measurement import Feed, Measurement
from lutfarm_jobs.measurement_key import bare_name

MOST_CHARACTERS = 400
MOST_NAMES = 10
MOST_ENTRIES = 5
BY_THE_TOOL = "made up by the tool"


def inputs(measurement: Measurement, *, by_tool: bool) -> str:
    """For example `rate=16000 (assumed, decides what runs); x=normal`; empty for what is no model file.

    `by_tool`: a native tool measured it, which makes up what it runs on.
    """
    feeds = measurement.workload.feeds
    if feeds and by_tool:
        return BY_THE_TOOL
    # Those that matter stand first, where the text ends too early.
    ranked = sorted(feeds, key=lambda feed: (not (feed.decides and not feed.given), not feed.given))
    text = "; ".join(map(_words, ranked))
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _words(feed: Feed) -> str:
    if feed.given:
        return f"{feed.name}={feed.said} (given)"
    return f"{feed.name}={feed.said}" + (" (assumed, decides what runs)" if feed.decides else "")


def assumed(measurement: Measurement) -> str:
    """The names of the inputs that decide what runs and that the job says nothing of, in one text."""
    return names(measurement.workload.inputs_assumed)


def names(every: Sequence[str]) -> str:
    """Some of them, and how many there are more."""
    some = ", ".join(name[:80] for name in every[:MOST_NAMES])
    return some + (f" and {len(every) - MOST_NAMES} more" if len(every) > MOST_NAMES else "")


def raised(measurement: Measurement) -> tuple[Flag, ...]:
    """What has to be known of the inputs before the number is believed."""
    workload = measurement.workload
    flags: tuple[Flag, ...] = ("inputs_assumed",) if workload.inputs_assumed else ()
    return flags if workload.computes else (*flags, "nothing_computed")


def warnings(entries: Iterable[Entry]) -> list[str]:
    """What is said beside a table: which entries hang on inputs that nobody gave, and which compute nothing."""
    return _warnings((entry.workload, entry.inputs_assumed, entry.flags) for entry in entries if entry.kind == "measured")


def warnings_before(measurements: Iterable[Measurement]) -> list[str]:
    """The same of what is still to be measured."""
    return _warnings((one.workload.key, assumed(one), raised(one)) for one in measurements)


def _warnings(workloads: Iterable[tuple[str, str, Sequence[str]]]) -> list[str]:
    looked_at = list(workloads)
    guessed = [f"{_short(key)} ({inputs})" for key, inputs, flags in looked_at if "inputs_assumed" in flags]
    idle = [_short(key) for key, _, flags in looked_at if "nothing_computed" in flags]
    lines: list[str] = []
    if guessed:
        what = "what runs depends on inputs that the job says nothing of"
        lines.append(f"inputs_assumed: {what}: {_some(guessed)}; give them under `values`")
    if idle:
        what = "no output depends on what an input holds, so that the runtime may compute all of it at load"
        lines.append(f"nothing_computed: {what}: {_some(idle)}")
    return lines


def _some(texts: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(texts))
    more = len(distinct) - MOST_ENTRIES
    return ", ".join(distinct[:MOST_ENTRIES]) + (f" and {more} more" if more > 0 else "")


def _short(workload_key: str) -> str:
    return bare_name(workload_key)[:120]
