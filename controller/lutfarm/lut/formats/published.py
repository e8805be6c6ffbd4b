"""What the YAML tables of other projects have in common: published keys, milliseconds, count, mean and a spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import yaml

from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.table import LatencyTable
from lutfarm.statistics.intervals.interval import PRIOR_DF
from lutfarm.statistics.intervals.quantiles import student_quantile
from lutfarm_jobs import operators
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import named, short_name
from lutfarm_jobs.operators.base import Operator

NS_PER_MS = 1e6
MARK = "# lutfarm table "
OTHERS = "write .json, .csv or .parquet, which hold every table"


def dump_published(
    table: LatencyTable,
    key_of: Callable[[Operator], str],
    figures_of: Callable[[int, float, float], Mapping[str, float]],
    *,
    name: str,
) -> bytes:
    """`figures_of`: from rounds, estimate in ms and standard deviation over rounds in ms to an entry's fields.

    Operators without a published key, failures, and what is nothing by structure are left out, and counted in a
    comment, as is how the table held up: those projects read none of it.  Raises SpecError for several devices or
    backends, or if nothing is left.
    """
    _check_keys(table, key_of, name)
    if len(table.places) != 1:
        listed = ", ".join(" with ".join(place) for place in table.places)
        raise SpecError(f"a {name} table is of one device and backend; select one of {listed}")
    found: dict[str, dict[str, float]] = {}
    left_out = 0
    for entry in table.entries:
        key = _published(entry, key_of)
        if key is None or entry.estimate is None:
            left_out += 1
        else:
            std_ms = round_deviation_ns(entry) / NS_PER_MS
            found[key] = dict(figures_of(entry.rounds, entry.estimate / NS_PER_MS, std_ms))
    device, backend = (_comment(text) for text in table.places[0])
    claims = "".join(f"# {_comment(claim)}\n" for claim in _claims(table))
    comment = (
        f"# Latencies in ms of {device} with {backend}: mean is lutfarm's estimate for the uncontended device,\n"
        f"# count the rounds it was measured in. {left_out} entries have no place in this format.\n"
        f"{claims}{MARK}{table.content_hash}\n"
    )
    return (comment + yaml.safe_dump(found, sort_keys=False, width=1000)).encode()


def _check_keys(table: LatencyTable, key_of: Callable[[Operator], str], name: str) -> None:
    """Raises SpecError where no entry has such a key, or two operators have the same one."""
    operators_of: dict[str, str] = {}
    for entry in table.entries:
        key = _published(entry, key_of)
        if key is not None and operators_of.setdefault(key, entry.workload) != entry.workload:
            both = f"{short_name(operators_of[key])} and {short_name(entry.workload)}"
            raise SpecError(f"{name} has one key for {both}, so this table can't be written so: {OTHERS}")
    if not operators_of:
        raise SpecError(f"none of the {len(table)} entries is an operator that {name} has a key for: {OTHERS}")


def marked(content: bytes) -> bool:
    """By a comment before the figures."""
    comments, found, _ = content.partition(MARK.encode())
    return bool(found) and all(line.startswith(b"#") for line in comments.splitlines())


def _claims(table: LatencyTable) -> list[str]:
    """What the table says of itself, and which of it these figures are without."""
    alone = "the calibration is not part of these figures: they are sums of entries"
    return [*table.claims(), *([alone] if table.manifest.calibrations else [])]


def round_deviation_ns(entry: Entry) -> float:
    """The standard deviation between rounds that the entry's interval stands for: moderated, so never 0 for one."""
    half_ns = ((entry.high or 0.0) - (entry.low or 0.0)) / 2
    quantile = student_quantile(PRIOR_DF + entry.rounds - 1, 0.5 + entry.confidence / 2)
    return half_ns / quantile * math.sqrt(entry.rounds)


def _published(entry: Entry, key_of: Callable[[Operator], str]) -> str | None:
    name = named(entry.workload, "operator")
    if entry.kind != "measured" or name is None:
        return None
    try:
        return key_of(operators.parse(name))
    except SpecError:
        return None


def _comment(text: str) -> str:
    """A name must not end the comment."""
    return "".join(c if c.isprintable() else "?" for c in text)
