"""Which device does what next.  Pure: the state and the time in, steps out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.round_cost import ROUND_S, model_bytes, round_seconds
from lutfarm.scheduling.state import FarmState, Unit
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import SlicePlan

PROBES_PER_ORDER = 64
LONGEST_ROUND_S = 20.0  # what a kill -9 can lose of one device at most, about


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the device and take its lock."""

    unit: str


@dataclass(frozen=True, slots=True)
class ProbeThese:
    """One throwaway child for each."""

    unit: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasureThese:
    """One round: a fresh process for a chunk of one backend."""

    unit: str
    keys: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the order that runs on the device."""

    unit: str
    order: str


Step = Open | ProbeThese | MeasureThese


def decide(state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
    """At most one step for each idle unit, and for each machine: units that share hardware take turns.

    The unit that has been given the least device time goes first, by name where equal.
    """
    if state.stopped or state.time_up:
        return []
    busy = {u.machine_id for u in state.units.values() if u.in_flight and u.machine_id}
    steps: list[Step] = []
    for unit in sorted(state.units.values(), key=lambda u: (u.spent_s, u.name)):
        if unit.in_flight or unit.out or now_s < unit.not_before_s or state.spent(unit):
            continue
        if unit.machine_id and unit.machine_id in busy:
            continue
        step = _next(state, unit, policies[unit.name], now_s)
        if step is not None:
            steps.append(step)
            busy.add(unit.machine_id or unit.name)
    return steps


def _next(state: FarmState, unit: Unit, policy: MeasuringPolicy, now_s: float) -> Step | None:
    wanted = state.wanted(unit.name)
    if not wanted:
        return None
    if not unit.opened:
        return Open(unit.name)
    unprobed = [m.key for m in wanted if state.progress(m.key).probe is None]
    if unprobed:
        return ProbeThese(unit.name, tuple(unprobed[:PROBES_PER_ORDER]))
    left_s = math.inf if state.budget_s is None else state.budget_s - unit.spent_s
    left_s = left_s if state.until_s is None else min(left_s, state.until_s - now_s)
    chunk = tuple(chunk_of(state, wanted, policy, left_s))
    return MeasureThese(unit.name, tuple(m.key for m in chunk), state.progress(chunk[0].key).complete)


def chunk_of(
    state: FarmState, wanted: Sequence[Measurement], policy: MeasuringPolicy, left_of_budget_s: float
) -> Iterator[Measurement]:
    """Those with the fewest rounds, later the least precise, of one backend and one class of length, as many as fit."""
    fewest = min(state.progress(m.key).complete for m in wanted)
    if state.rule is not None and fewest >= LEAST_ROUNDS:
        candidates = sorted(wanted, key=lambda m: _precision(state, m.key))
    else:
        candidates = [m for m in wanted if state.progress(m.key).complete == fewest]
    group = _group(state, candidates[0], policy.plan)
    if group[1]:
        candidates.sort(key=lambda m: _lot(m.key, fewest))
    left_bytes, left_s = policy.memory_budget_bytes, min(LONGEST_ROUND_S, left_of_budget_s)
    first = True
    for measurement in candidates:
        if _group(state, measurement, policy.plan) != group:
            continue
        left_bytes -= model_bytes(state, measurement) * (2 if policy.plan.profile else 1)  # a session under the profiler, too
        left_s -= round_seconds(state, measurement, policy.plan) * state.units[measurement.unit].pace
        if not first and (left_bytes < 0 or left_s < 0):
            return
        first = False
        yield measurement


def _precision(state: FarmState, key: str) -> tuple[bool, float]:
    """Widest interval first, so that a budget narrows what needs it most; last where no quiet window has come at all."""
    now = state.reached.get(key)
    return now is None, -now.relative_half_width if now else 0.0


def _lot(key: str, rounds: int) -> str:
    """An order that differs from round to round: which networks share a process changes, so processes can be compared."""
    return hashlib.sha256(f"{rounds}/{key}".encode()).hexdigest()


def _group(state: FarmState, measurement: Measurement, plan: SlicePlan) -> tuple[str, bool]:
    # Long workloads are swept, not gated, and would evict what short ones keep warm: rounds of their own.
    probe = state.progress(measurement.key).probe
    is_long = probe is not None and (probe.iteration_ns or 0) > plan.long_ns
    return measurement.backend.process_key, is_long


def due_seconds(state: FarmState, step: Step, plan: SlicePlan) -> float:
    """What a step should take on a quiet machine, where it is a round; else 0."""
    if not isinstance(step, MeasureThese):
        return 0.0
    return ROUND_S + sum(round_seconds(state, state.plan[key], plan) for key in step.keys)
