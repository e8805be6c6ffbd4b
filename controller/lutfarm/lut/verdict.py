"""What a table is good for, in one sentence: how much of it is quiet and precise, and what not to do with it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lutfarm.lut.grades import Grade, grade_of
from lutfarm.lut.schema.entry import Entry

if TYPE_CHECKING:
    from lutfarm.lut.table import LatencyTable

LEAST_CALIBRATION = 5  # networks that a quiet machine measured: fewer calibrate nothing
SHARE_BY_CHANCE = 0.05  # of the entries: no more are flagged wrongly (benchmarks/coverage.py)
BUSY_VISITS = 0.10  # a quiet machine has a quiet window in 99 % of them (docs/benchmarks.md)

Machine = Literal["quiet", "busy", "disturbed", "not established", "not seen"]

COMPARE, CALIBRATE, RANK, PREDICT, JUDGE = (
    "compare devices by this table",
    "calibrate on it",
    "rank what lies closer together than the intervals",
    "predict networks with what is missing",
    "judge its predictions by its validation",
)


@dataclass(frozen=True, slots=True)
class NetworkEvidence:
    """What whole networks say of a table: how many it was held against, how many of them a busy machine measured.

    `calibrated`: on how many each of its calibrations rests; `lacking`: places whose networks were too few to calibrate.
    """

    networks: int = 0
    busy: int = 0
    calibrated: tuple[int, ...] = ()
    lacking: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a table can be believed.

    `precise` entries are as narrow as the job asked for, and nothing disturbed them; `provisional` are those of them whose
    canary's reference is not established.  `busy_visits`: the share of the visits that found no quiet window; None where
    there was no gate.  `machine`: quiet; busy, which the gate kept out; disturbed; not established, where nobody knows yet
    what quiet means there; not seen, by a native tool.
    """

    sentence: str
    entries: int  # measured
    precise: int
    provisional: int
    wide: int
    disturbed: int
    failed: int
    missing: int
    machine: Machine
    busy_visits: float | None
    few_networks: int | None  # on which a calibration rests, where these are too few; 0: none came about
    networks: int  # that it was held against
    busy_networks: int  # ... and that a busy machine measured
    do_not: tuple[str, ...]
    next: str  # what to do instead; empty where nothing is to be done
    lines: tuple[str, ...] = ()  # the sentence in short ones: first how much is precise, then what follows from it


def table_verdict(table: LatencyTable, *, again: str = "", target: float | None = None) -> Verdict:
    """The verdict on a table; `again`: how its job is measured anew, `target`: the relative half-width that it asked for."""
    manifest = table.manifest
    words = again or f"give the file of job {manifest.job_name} `fresh: true` and another `name`, and run it"
    used = [network for one in manifest.validations for network in one.used]
    evidence = NetworkEvidence(
        len(used),
        sum(network.busy for network in used),
        tuple(len(one.networks) for one in manifest.calibrations),
        len(manifest.uncalibrated),
    )
    return verdict(table.entries, missing=len(manifest.missing), evidence=evidence, again=words, target=target)


def verdict(
    entries: Sequence[Entry],
    *,
    missing: int = 0,
    evidence: NetworkEvidence = NetworkEvidence(),
    again: str = "",
    target: float | None = None,
) -> Verdict:
    """The verdict on entries; `missing`: how many are not measured yet."""
    measured = [entry for entry in entries if entry.kind == "measured"]
    grades: Counter[Grade] = Counter(grade_of(entry.flags) for entry in measured)
    failed = sum(entry.kind == "failed" for entry in entries)
    few = min((count for count in evidence.calibrated if count < LEAST_CALIBRATION), default=0 if evidence.lacking else None)
    busy = _busy_visits(measured)
    machine = _machine(measured, grades, busy)
    do_not = _do_not(machine, grades, len(measured), missing, evidence)
    judged = Verdict(
        sentence="",
        entries=len(measured),
        precise=grades["precise"] + grades["provisional"],
        provisional=grades["provisional"],
        wide=grades["wide"],
        disturbed=grades["disturbed"],
        failed=failed,
        missing=missing,
        machine=machine,
        busy_visits=busy,
        few_networks=few,
        networks=evidence.networks,
        busy_networks=evidence.busy,
        do_not=do_not,
        next=_next(machine, grades, missing, again) if measured else "",
    )
    first, *clauses = _clauses(judged, target)
    return replace(judged, sentence=_sentence(judged, first, clauses), lines=_lines(judged, first, clauses))


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


def _do_not(machine: Machine, grades: Counter[Grade], count: int, missing: int, evidence: NetworkEvidence) -> tuple[str, ...]:
    words: list[str] = []
    if machine in ("disturbed", "not established", "not seen"):
        words.append(COMPARE)
    if machine == "disturbed":
        words.append(CALIBRATE)
    elif grades["wide"] > SHARE_BY_CHANCE * count:
        words.append(RANK)
    if evidence.busy > SHARE_BY_CHANCE * evidence.networks:
        words.append(JUDGE)
    return (*words, PREDICT) if missing else tuple(words)


def _next(machine: Machine, grades: Counter[Grade], missing: int, again: str) -> str:
    if machine == "disturbed":
        return f"measure again when nothing else runs there: {again}"
    if missing:
        return "run the job again: it measures what is missing"
    if machine == "not established":
        return "measure anything there while nothing else runs, and export it again"
    if grades["wide"]:
        return "more rounds narrow what is wide"
    return ""


def _clauses(judged: Verdict, target: float | None) -> list[str]:
    """How much is precise, then what is known of machine, networks and calibration."""
    rest = [(judged.disturbed, "disturbed"), (judged.wide, "too wide"), (judged.failed, "failed")]
    rest.append((judged.missing, "not measured yet"))
    others = ", ".join(f"{count} {word}" for count, word in rest if count)
    if not judged.entries:
        return [f"Nothing was measured{f' ({others})' if others else ''}: there is nothing in this table to use"]
    good, count = judged.precise, judged.entries
    kind = "precise" if judged.machine == "not seen" else "quiet and precise"
    which = f"{good} of {count}" if good < count else f"All {count}" if count > 1 else "The only"
    first = f"{which} {'entry is' if count == 1 else 'entries are'} {kind}"
    first += f" to +-{100 * target:.3g} %" if target and good else ""
    clauses = [f"{first} ({others})" if others else first, _MACHINE[judged.machine]]
    if judged.machine == "busy" and judged.busy_visits:
        clauses[-1] += f" at {100 * judged.busy_visits:.0f} % of the visits, which do not count"
    if judged.busy_networks:
        clauses.append(
            f"a busy machine measured {judged.busy_networks} of the {judged.networks} networks that it was held against"
        )
    return clauses if judged.few_networks is None else [*clauses, _few(judged.few_networks)]


def _sentence(judged: Verdict, first: str, clauses: Sequence[str]) -> str:
    if not judged.entries:
        return f"{first}."
    text = "; ".join((first, *clauses)) + (f": do not {' nor '.join(judged.do_not)}" if judged.do_not else "")
    return f"{text}; {judged.next}." if judged.next else f"{text}."


def _lines(judged: Verdict, first: str, clauses: Sequence[str]) -> tuple[str, ...]:
    if not judged.entries:
        return (f"{first}.",)
    texts = [first, *clauses, *(f"do not {one}" for one in judged.do_not), *([judged.next] if judged.next else ())]
    return tuple(f"{text[0].upper()}{text[1:]}." for text in texts)


def _few(networks: int) -> str:
    """Of a calibration that is none."""
    if networks:
        return f"calibrated on {networks} {'network' if networks == 1 else 'networks'}, too few to correct anything"
    return f"not calibrated, fewer than {LEAST_CALIBRATION} networks were good enough"


_MACHINE = {
    "quiet": "the machine was quiet",
    "busy": "the machine was busy",
    "disturbed": "the machine was disturbed",
    "not established": "what this machine's full speed is, is not established yet",
    "not seen": "a native tool shows nothing of what ran beside it",
}
