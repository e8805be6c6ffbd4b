"""What one idle device does next for one job: open, probe, measure.  Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, model_bytes, round_seconds
from lutfarm.scheduling.steps import MeasureThese, Open, ProbeThese, Step
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Slicing

PROBES_PER_ORDER = 64
LONGEST_ROUND_S = 20.0  # what a kill -9 can lose of one device at most, about


def next_step(job: JobProgress, unit: Unit, now_s: float) -> Step | None:
    """None where the job wants nothing more of the unit, or may not have it."""
    wanted = job.wanted(unit.name)
    if not wanted or job.finished(unit.name):
        return None
    if not unit.opened:
        return Open(job.id, unit.name)
    unprobed = [m.key for m in wanted if job.progress(m.key).probe is None]
    if unprobed:
        return ProbeThese(job.id, unit.name, tuple(unprobed[:PROBES_PER_ORDER]))
    left_s = math.inf if job.budget_s is None else job.budget_s - job.spent_s.get(unit.name, 0.0)
    left_s = left_s if job.until_s is None else min(left_s, job.until_s - now_s)
    chunk = tuple(chunk_of(job, wanted, job.policies[unit.name], unit.pace, left_of_budget_s=left_s))
    return MeasureThese(job.id, unit.name, tuple(m.key for m in chunk), job.progress(chunk[0].key).complete)


def chunk_of(
    job: JobProgress, wanted: Sequence[Measurement], policy: MeasuringPolicy, pace: float, *, left_of_budget_s: float
) -> Iterator[Measurement]:
    """Those with the fewest rounds, later the least precise, of one backend and one class of length, as many as fit.

    `pace`: of the unit that they all are of.
    """
    fewest = min(job.progress(m.key).complete for m in wanted)
    if job.rule is not None and fewest >= LEAST_ROUNDS:
        candidates = sorted(wanted, key=lambda m: _precision(job, m.key))
    else:
        candidates = [m for m in wanted if job.progress(m.key).complete == fewest]
    group = _group(job, candidates[0], policy.slicing)
    if group[1]:
        candidates.sort(key=lambda m: _lot(m.key, fewest))
    left_bytes, left_s = policy.memory_budget_bytes, min(LONGEST_ROUND_S, left_of_budget_s)
    first = True
    for measurement in candidates:
        if _group(job, measurement, policy.slicing) != group:
            continue
        left_bytes -= model_bytes(job, measurement) * (2 if policy.slicing.profile else 1)  # a session under the profiler, too
        left_s -= round_seconds(job, measurement, policy.slicing) * pace
        if not first and (left_bytes < 0 or left_s < 0):
            return
        first = False
        yield measurement


def _precision(job: JobProgress, key: str) -> tuple[bool, float]:
    """Widest interval first, so that a budget narrows what needs it most; last where no quiet window has come at all."""
    now = job.reached.get(key)
    return now is None, -now.relative_half_width if now else 0.0


def _lot(key: str, rounds: int) -> str:
    """An order that differs from round to round: which networks share a round changes, so rounds can be compared."""
    return hashlib.sha256(f"{rounds}/{key}".encode()).hexdigest()


def _group(job: JobProgress, measurement: Measurement, plan: Slicing) -> tuple[str, bool]:
    # Long workloads are swept, not gated, and would evict what short ones keep warm: rounds of their own.
    probe = job.progress(measurement.key).probe
    is_long = probe is not None and (probe.iteration_ns or 0) > plan.long_ns
    return measurement.backend.process_key, is_long


def due_seconds(job: JobProgress, step: Step) -> float:
    """What a step should take on a quiet machine, where it is a round; else 0."""
    if not isinstance(step, MeasureThese):
        return 0.0
    plan = job.policies[step.unit].slicing
    return ROUND_S + sum(round_seconds(job, job.plan[key], plan) for key in step.keys)
