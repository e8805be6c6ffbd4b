"""Two tables against each other, operator by operator.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.table import LatencyTable
from lutfarm.records.fingerprints import Difference, disagreement
from lutfarm.statistics.comparisons.devices import DeviceEstimate
from lutfarm.statistics.comparisons.ratios import Orders, device_estimate, differ, orders, ratio_of
from lutfarm.statistics.intervals.distributions import kendall
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import MeasurementKey

Change = Literal["slower", "faster", "no difference"]

CONFIDENCE = 0.95  # of the ratios' intervals, whatever that of the entries' is
MOST_ENTRIES = 5_000  # of a table: the orders of all its pairs are compared, 12 million of them
SELECTING = "--device-a, --device-b, --backend-a and --backend-b"
LEAST_FOR_SHIFT = 5  # entries: of fewer the median is the entries themselves
MUST_AGREE = ("quantity", "quantity_unit", "statistic")
LISTED_FLIPS = 10
NO_FAULTS = frozenset({"converged"})


@dataclass(frozen=True, slots=True)
class EntryDiff:
    """One workload in both tables: B over A with its interval.

    `differs`: beyond noise, after correction for the number of entries; `differs_beside_shift`: from the common shift;
    None where too few entries say what that is.
    """

    workload: str  # with the backend or device where a table has several
    a_estimate: float
    b_estimate: float
    ratio: float
    low: float
    high: float
    p_value: float
    differs: bool
    differs_beside_shift: bool | None
    statistic: str
    a_flags: tuple[str, ...]
    b_flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """Two workloads in another order in B than in A, beyond noise in both; ratios are second over first."""

    first: str
    second: str
    a_ratio: float
    b_ratio: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A workload of both tables that can't be compared, and which field is in the way."""

    workload: str
    field: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A workload that failed in one table."""

    workload: str
    side: str  # A or B
    code: str


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What two tables say of each other.  `shift`: the median ratio, which all entries may owe to the day, the device, or both.

    `flips` are the largest of `flip_count`, of `pairs` pairs; `reversed_pairs` have another order, beyond noise or not.
    """

    a: str
    b: str
    entries: tuple[EntryDiff, ...]
    shift: float
    kendall_tau: float | None
    pairs: int
    reversed_pairs: int
    flip_count: int
    flips: tuple[Flip, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    failed: tuple[Failed, ...]
    refused: tuple[Refused, ...]
    zeros: int  # in both by definition
    differences: tuple[Difference, ...]  # of what they were measured with
    same_job: bool

    @property
    def flip_share(self) -> float | None:
        """Of all pairs; None where there is no pair."""
        return self.flip_count / self.pairs if self.pairs else None

    @property
    def flagged(self) -> tuple[EntryDiff, ...]:
        """Entries that carry a flag in either table that says more than that they converged."""
        return tuple(entry for entry in self.entries if {*entry.a_flags, *entry.b_flags} - NO_FAULTS)


def _check_sizes(a: LatencyTable, b: LatencyTable) -> None:
    for side, table in (("A", a), ("B", b)):
        if len(table) > MOST_ENTRIES:
            raise SpecError(
                f"{side} has {len(table)} entries; every pair of them is looked at, so {MOST_ENTRIES} are the most that are "
                f"compared: select with --device-{side.lower()} and --backend-{side.lower()}, or export a smaller table"
            )


def diff(a: LatencyTable, b: LatencyTable) -> TableDiff:
    """Compare the workloads that both tables have.

    A workload is told by its key; where a table has several backends, devices or conditions, by those too.  Raises
    SpecError where they have no workload in common, or none that can be compared: then it names the field; and for tables
    of more than MOST_ENTRIES entries.
    """
    _check_sizes(a, b)
    names = _named_by(a, b)
    in_a, in_b = (_by_name(table, names) for table in (a, b))
    both = {name: (in_a[name], in_b[name]) for name in in_a if name in in_b}
    if not both:
        matched = f"; entries are matched by workload and {' and '.join(names)}: select with {SELECTING}" if names else ""
        raise SpecError(f"the tables have no operator in common: A has {_some(in_a)}, B has {_some(in_b)}{matched}")
    refused = [refusal for name, pair in both.items() if (refusal := _refused(name, *pair))]
    measured = {name: pair for name, pair in both.items() if all(e.kind == "measured" for e in pair)}
    out = {one.workload for one in refused}
    usable = {name: pair for name, pair in measured.items() if name not in out}
    failed = tuple(
        Failed(name, side, entry.failure_code or "")
        for name, pair in both.items()
        for side, entry in zip("AB", pair, strict=True)
        if entry.kind == "failed"
    )
    if not usable:
        raise SpecError(_nothing(refused, failed))
    estimates = {name: (_estimate(pair[0]), _estimate(pair[1])) for name, pair in usable.items()}
    order = orders([pair[0] for pair in estimates.values()], [pair[1] for pair in estimates.values()])
    entries, shift = _entries(usable, estimates)
    tau = kendall([e.a_estimate for e in entries], [e.b_estimate for e in entries])
    return TableDiff(
        _described(a),
        _described(b),
        entries,
        shift,
        tau,
        order.pairs,
        order.reversed,
        len(order.flips),
        _flips(order, entries),
        only_in_a=tuple(name for name in in_a if name not in in_b),
        only_in_b=tuple(name for name in in_b if name not in in_a),
        failed=failed,
        refused=tuple(refused),
        zeros=sum(all(entry.kind == "zero" for entry in pair) for pair in both.values()),
        differences=_differences(usable, a, b),
        same_job=a.manifest.job_id == b.manifest.job_id,
    )


def _entries(
    usable: Mapping[str, tuple[Entry, Entry]], estimates: Mapping[str, tuple[DeviceEstimate, DeviceEstimate]]
) -> tuple[tuple[EntryDiff, ...], float]:
    """In the order of the first table; and the median ratio."""
    ratios = [ratio_of(*pair, confidence=CONFIDENCE) for pair in estimates.values()]
    middle = median(math.log(ratio.ratio) for ratio in ratios)
    away = differ([ratio.p_value for ratio in ratios])
    beside: Sequence[bool | None] = [None] * len(ratios)
    if len(ratios) >= LEAST_FOR_SHIFT:
        beside = differ([ratio_of(*pair, beside=middle).p_value for pair in estimates.values()])
    entries = tuple(
        EntryDiff(
            name,
            estimates[name][0].estimate,
            estimates[name][1].estimate,
            ratio.ratio,
            ratio.low,
            ratio.high,
            ratio.p_value,
            differs,
            beyond_shift,
            entry_a.statistic,
            entry_a.flags,
            entry_b.flags,
        )
        for (name, (entry_a, entry_b)), ratio, differs, beyond_shift in zip(usable.items(), ratios, away, beside, strict=True)
    )
    return entries, math.exp(middle)


def _estimate(entry: Entry) -> DeviceEstimate:
    return device_estimate(
        entry.estimate or 0.0, entry.low or 0.0, entry.high or 0.0, confidence=entry.confidence, rounds=entry.rounds
    )


def _where(entry: Entry) -> dict[str, str]:
    """Where it was measured, without the precision and batch that are the workload's own."""
    backend, conditions = MeasurementKey.parse(entry.key).process
    return {"backend": backend, "device": entry.device, "conditions": conditions}


def _named_by(a: LatencyTable, b: LatencyTable) -> tuple[str, ...]:
    """What beside the workload tells entries apart: that of which a table has several values."""
    sides = [[_where(entry) for entry in table.entries] for table in (a, b)]
    names = ("backend", "device", "conditions")
    return tuple(name for name in names if any(len({each[name] for each in of_table}) > 1 for of_table in sides))


def _by_name(table: LatencyTable, names: Sequence[str]) -> dict[str, Entry]:
    return {" ".join((entry.workload, *(_where(entry)[name] for name in names))): entry for entry in table.entries}


def _refused(name: str, a: Entry, b: Entry) -> Refused | None:
    kinds = {a.kind, b.kind}
    if "zero" in kinds and len(kinds) > 1:
        return Refused(name, "kind", a.kind, b.kind)
    if kinds != {"measured"}:
        return None
    for field in MUST_AGREE:
        of_a, of_b = str(getattr(a, field)), str(getattr(b, field))
        if of_a != of_b:
            return Refused(name, field, of_a, of_b)
    if not a.low or not b.low:
        return Refused(name, "low", f"{a.low or 0.0:g}", f"{b.low or 0.0:g}")
    return None


def _nothing(refused: Sequence[Refused], failed: Sequence[Failed]) -> str:
    if refused:
        first = refused[0]
        return f"nothing can be compared: {first.field} is {first.a!r} in A and {first.b!r} in B ({first.workload}" + (
            f", and {len(refused) - 1} more like it)" if len(refused) > 1 else ")"
        )
    if failed:
        return f"nothing can be compared: {failed[0].workload} failed in {failed[0].side} with {failed[0].code}"
    return "nothing can be compared: what the tables have in common is zero by definition"


def _flips(order: Orders, entries: Sequence[EntryDiff]) -> tuple[Flip, ...]:
    """The largest, each with the one first that is faster in A."""
    flips: list[Flip] = []
    for flip in order.flips[:LISTED_FLIPS]:
        faster, slower = sorted((entries[flip.first], entries[flip.second]), key=lambda entry: entry.a_estimate)
        flips.append(
            Flip(faster.workload, slower.workload, slower.a_estimate / faster.a_estimate, slower.b_estimate / faster.b_estimate)
        )
    return tuple(flips)


def _differences(usable: Mapping[str, tuple[Entry, Entry]], a: LatencyTable, b: LatencyTable) -> tuple[Difference, ...]:
    """In what the entries that are compared were measured with, as far as the tables say it."""
    differences: dict[str, Difference] = {}
    for name_a, name_b in {(pair[0].fingerprint, pair[1].fingerprint) for pair in usable.values()}:
        of_a, of_b = a.manifest.fingerprints.get(name_a), b.manifest.fingerprints.get(name_b)
        if of_a is not None and of_b is not None:
            differences |= {str(each): each for each in disagreement((("A", of_a), ("B", of_b)))}
    return tuple(differences[text] for text in sorted(differences))


def _described(table: LatencyTable) -> str:
    return ", ".join(f"{device} with {backend}" for device, backend in table.places) + f" (job {table.manifest.job_name})"


def _some(names: Mapping[str, Entry]) -> str:
    first = list(names)[:2]
    return ", ".join(first) + (f" and {len(names) - 2} more" if len(names) > 2 else "") if first else "none"
