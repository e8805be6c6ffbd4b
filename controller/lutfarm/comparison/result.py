"""What a comparison came to: derived from the stored runs whenever it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from lutfarm.comparison.sides import WorkloadPairs
from lutfarm.records.fingerprints import agree
from lutfarm.results.job_entries import judged as judged_runs
from lutfarm.statistics import sample, summarize
from lutfarm.statistics.comparisons.pairs import (
    PairDecision,
    PairedRound,
    PairRatio,
    judged,
    matched,
    overall,
    ratios_of,
    rounds_to_settle,
    slower_than,
)
from lutfarm.statistics.comparisons.ratios import differ
from lutfarm.statistics.estimates.precision import process_estimate_of
from lutfarm.store.interface import RunStore, Store
from lutfarm_jobs.errors import NothingCompared
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.run import Run

# Of one side's interval, or of how fast the quiet device is: both sides of a sitting have the same reference.
NOT_OF_A_RATIO = frozenset({"converged", "not_precise", "reference_provisional"})


@dataclass(frozen=True, slots=True)
class WorkloadRatio:
    """One workload: B over A.  `differs` from 1, `slower` by more than the margin: both after correction for their number.

    `flags`: what a table would say of either side's entry, but NOT_OF_A_RATIO.
    """

    workload: str
    a_estimate: float
    b_estimate: float
    ratio: float
    low: float
    high: float
    pairs: int
    statistic: str
    differs: bool
    slower: bool
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of two sides.  `left_out`: by workload, why it has no ratio; `lone_rounds` are in no pair: an interruption left them."""

    job_id: str
    a: str
    b: str
    workloads: tuple[WorkloadRatio, ...]
    ratio: float
    low: float
    high: float
    pairs: int
    confidence: float  # of every interval here
    margin: float
    verdict: PairDecision
    rounds_to_settle: int | None  # how many more where the interval holds the margin; None: over a thousand
    lone_rounds: int
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Pairs:
    statistic: str
    estimates: tuple[tuple[str, float, float], ...]  # pair, A, B
    lone: int

    flags: tuple[str, ...] = ()

    @property
    def ratios(self) -> dict[str, float]:
        return {name: b / a for name, a, b in self.estimates}


def compared(
    store: Store, job_id: str, paired: WorkloadPairs, names: tuple[str, str], *, margin: float, confidence: float
) -> Comparison:
    """The ratios of a job's pairs.  Raises SpecError where no workload has two pairs, naming why."""
    runs = {key: list(of_key) for key, of_key in groupby(judged_runs(store, job_id), key=lambda run: run.key)}
    pairs_of: dict[str, _Pairs] = {}
    left_out = dict(paired.one_sided)
    for a, b in paired.keys:
        workload = MeasurementKey.parse(a).workload
        pairs_or_why = _pairs(_newest(runs.get(a, ())), _newest(runs.get(b, ())))
        if isinstance(pairs_or_why, str):
            left_out[workload] = _failure(store, a, b) or pairs_or_why
        else:
            pairs_of[workload] = pairs_or_why
    by_pair = {name: one.ratios for name, one in pairs_of.items()}
    ratios, together = ratios_of(by_pair, confidence=confidence), overall(by_pair, confidence=confidence)
    if together is None:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise NothingCompared(f"nothing can be compared yet: {reasons[:1500]}; the same command goes on")
    slower = slower_than(ratios, margin)
    away = dict(zip(ratios, differ([2 * min(r.p_beyond(), 1 - r.p_beyond()) for r in ratios.values()]), strict=True))
    verdict = judged(together, slower, margin, complete=not left_out)
    open_still = verdict == "undecided" and together.high > 1 + margin
    return Comparison(
        job_id,
        *names,
        tuple(
            _workload(name, pairs_of[name], ratio, differs=away[name], slower=name in slower) for name, ratio in ratios.items()
        ),
        together.ratio,
        together.low,
        together.high,
        together.pairs,
        confidence,
        margin,
        verdict,
        rounds_to_settle(together, margin, confidence=confidence) if open_still else None,
        sum(one.lone for one in pairs_of.values()),
        left_out,
    )


def _workload(name: str, pairs: _Pairs, ratio: PairRatio, *, differs: bool, slower: bool) -> WorkloadRatio:
    a, b = (math.exp(float(np.mean(np.log([row[side] for row in pairs.estimates])))) for side in (1, 2))
    return WorkloadRatio(
        name,
        a,
        b,
        ratio.ratio,
        ratio.low,
        ratio.high,
        ratio.pairs,
        pairs.statistic,
        differs=differs,
        slower=slower,
        flags=pairs.flags,
    )


def _newest(runs: Sequence[Run]) -> list[Run]:
    """The complete runs that may be put together: those of the newest one's fingerprint."""
    complete = sorted((run for run in runs if run.status == "complete"), key=lambda run: (run.started_s, run.id))
    return [run for run in complete if agree(run.fingerprint, complete[-1].fingerprint)]


def _pairs(a: Sequence[Run], b: Sequence[Run]) -> _Pairs | str:
    """The pairs of one workload, or why there are none.  A pair counts where both its rounds had a quiet window."""
    if not a or not b:
        return "not measured on both sides"
    estimates = [{run.round_id: estimate for run in side if (estimate := process_estimate_of(run))} for side in (a, b)]
    # Of another statistic than the newest's are runs of an older plan.
    statistics = [next(reversed(side.values())).statistic if side else None for side in estimates]
    if None not in statistics and statistics[0] != statistics[1]:
        return (
            f"statistic is {statistics[0]} on A and {statistics[1]} on B, which can't be compared; sampling.sweep: true in the "
            "job sweeps both"
        )
    pairs = matched(*([PairedRound(run.round_id, run.started_s, run.ended_s) for run in side] for side in (a, b)))
    rows = tuple(
        (f"{one.round_id}+{other.round_id}", first.ns, second.ns)
        for one, other in pairs
        if (first := estimates[0].get(one.round_id))
        and (second := estimates[1].get(other.round_id))
        and first.statistic == second.statistic == statistics[0]
    )
    if len(rows) > 1 and statistics[0]:
        return _Pairs(statistics[0], rows, len(a) + len(b) - 2 * len(pairs), _raised(a, b))
    if len(pairs) > 1:
        return f"of {len(pairs)} pairs {len(rows)} had a quiet window on both sides, two are needed"
    return f"only {len(pairs)} whole pair{'' if len(pairs) == 1 else 's'}"


def _raised(*sides: Sequence[Run]) -> tuple[str, ...]:
    raised = {flag for runs in sides if (one := sample(runs)) is not None for flag in summarize(one).flags}
    return tuple(sorted(raised - NOT_OF_A_RATIO))


def _failure(store: RunStore, a: str, b: str) -> str | None:
    """Why a workload has failed on a side, by its newest probe."""
    for side, key in (("A", a), ("B", b)):
        probes = store.probes([key]).get(key, ())
        if probes and probes[0].failure:
            return f"failed on {side}: {probes[0].failure.code}: {probes[0].failure.detail[:200]}"
    return None
