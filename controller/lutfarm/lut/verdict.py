"""What a table is good for, in one sentence: how much of it is quiet and precise, and what not to do with it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lutfarm.lut.calibration import LEAST_NETWORKS as LEAST_CALIBRATION
from lutfarm.lut.entry import Entry
from lutfarm.lut.grades import Grade, grade_of
from lutfarm.lut.table import LatencyTable

SHARE_BY_CHANCE = 0.05                             # of the entries: no more are flagged wrongly (benchmarks/coverage.py)
BUSY_VISITS = 0.10                                 # a quiet machine has a quiet window in 99 % of them (docs/benchmarks.md)

Machine = Literal["quiet", "busy", "disturbed", "not established", "not seen"]

COMPARE, CALIBRATE, RANK, PREDICT = (
    "compare devices by this table", "calibrate on it", "rank what lies closer together than the intervals",
    "predict networks with what is missing",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a table can be believed.

    `precise` entries are as narrow as the job asked for, and nothing disturbed them; `provisional` are those of them whose
    canary's reference is not established.  `busy_visits`: the share of the visits that found no quiet window; None where
    there was no gate.  `machine`: quiet; busy, which the gate kept out; disturbed; not established, where nobody knows yet
    what quiet means there; not seen, by a native tool.
    """

    sentence: str
    entries: int                                   # measured
    precise: int
    provisional: int
    wide: int
    disturbed: int
    failed: int
    missing: int
    machine: Machine
    busy_visits: float | None
    few_networks: int | None                       # on which a calibration rests, where these are too few
    do_not: tuple[str, ...]
    next: str                                      # what to do instead; empty where nothing is to be done


def table_verdict(table: LatencyTable, *, again: str = "", target: float | None = None) -> Verdict:
    """The verdict on a table; `again`: how its job is measured anew, `target`: the relative half-width that it asked for."""
    manifest = table.manifest
    words = again or f"put `fresh: true` into the file of job {manifest.job_name} and run it"
    networks = [len(one.networks) for one in manifest.calibrations]
    return verdict(table.entries, missing=len(manifest.missing), networks=networks, again=words, target=target)


def verdict(
    entries: Sequence[Entry], *, missing: int = 0, networks: Collection[int] = (), again: str = "", target: float | None = None
) -> Verdict:
    """The verdict on entries; `networks`: on how many each calibration rests, `missing`: entries that are not measured yet."""
    measured = [entry for entry in entries if entry.kind == "measured"]
    grades: Counter[Grade] = Counter(grade_of(entry.flags) for entry in measured)
    failed = sum(entry.kind == "failed" for entry in entries)
    few = min((count for count in networks if count < LEAST_CALIBRATION), default=None)
    busy = _busy_visits(measured)
    machine = _machine(measured, grades, busy)
    do_not = _do_not(machine, grades, len(measured), missing)
    todo = _next(machine, grades, missing, again) if measured else ""
    return Verdict(
        sentence=_sentence(measured, grades, failed, missing, machine, busy, few, do_not, todo, target),
        entries=len(measured), precise=grades["precise"] + grades["provisional"], provisional=grades["provisional"],
        wide=grades["wide"], disturbed=grades["disturbed"], failed=failed, missing=missing,
        machine=machine, busy_visits=busy, few_networks=few, do_not=do_not, next=todo,
    )


def _busy_visits(measured: Sequence[Entry]) -> float | None:
    gated = [entry for entry in measured if entry.statistic.startswith(("p25", "p10"))]
    visits = sum(entry.slices_kept + entry.slices_rejected for entry in gated)
    return sum(entry.slices_rejected for entry in gated) / visits if visits else None


def _machine(measured: Sequence[Entry], grades: Counter[Grade], busy: float | None) -> Machine:
    if not measured or all(entry.statistic.startswith("tool_") for entry in measured):
        return "not seen"
    if grades["disturbed"] > SHARE_BY_CHANCE * len(measured):
        return "disturbed"
    if any({"reference_provisional", "reference_stale"}.intersection(entry.flags) for entry in measured):
        return "not established"
    return "busy" if busy is not None and busy > BUSY_VISITS else "quiet"


def _do_not(machine: Machine, grades: Counter[Grade], count: int, missing: int) -> tuple[str, ...]:
    found: list[str] = []
    if machine in ("disturbed", "not established", "not seen"):
        found.append(COMPARE)
    if machine == "disturbed":
        found.append(CALIBRATE)
    elif grades["wide"] > SHARE_BY_CHANCE * count:
        found.append(RANK)
    return (*found, PREDICT) if missing else tuple(found)


def _next(machine: Machine, grades: Counter[Grade], missing: int, again: str) -> str:
    if machine == "disturbed":
        return f"measure again when nothing else runs there: {again}"
    if missing:
        return "run the job again: it measures what is missing"
    if machine == "not established":
        return "measure anything there later, and export it again"
    if grades["wide"]:
        return "more rounds narrow what is wide"
    return ""


def _sentence(
    measured: Sequence[Entry], grades: Counter[Grade], failed: int, missing: int, machine: Machine, busy: float | None,
    few: int | None, do_not: Sequence[str], todo: str, target: float | None,
) -> str:
    rest = [(grades["disturbed"], "disturbed"), (grades["wide"], "too wide"), (failed, "failed"), (missing, "not measured yet")]
    others = ", ".join(f"{count} {word}" for count, word in rest if count)
    if not measured:
        return f"Nothing was measured{f' ({others})' if others else ''}: there is nothing in this table to use."
    good, count = grades["precise"] + grades["provisional"], len(measured)
    kind = "precise" if machine == "not seen" else "quiet and precise"
    which = f"{good} of {count}" if good < count else f"All {count}" if count > 1 else "The only"
    text = f"{which} {'entry is' if count == 1 else 'entries are'} {kind}"
    text += f" to +-{100 * target:.3g} %" if target and good else ""
    text += f" ({others})" if others else ""
    text += f"; {_MACHINE[machine]}"
    text += f" at {100 * busy:.0f} % of the visits, which do not count" if machine == "busy" and busy else ""
    text += f"; calibrated on {few} {'network' if few == 1 else 'networks'}, too few to correct anything" if few else ""
    text += f": do not {' nor '.join(do_not)}" if do_not else ""
    return f"{text}; {todo}." if todo else f"{text}."


_MACHINE = {
    "quiet": "the machine was quiet",
    "busy": "the machine was busy",
    "disturbed": "the machine was disturbed",
    "not established": "what this machine's full speed is, is not established yet",
    "not seen": "a native tool shows nothing of what ran beside it",
}
