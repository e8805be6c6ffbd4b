"""Measurements, what becomes of them, and states of a farm, for the scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed
from lutfarm.scheduling import job_progress
from lutfarm.scheduling import state as farm_state
from lutfarm.scheduling.decide import decide
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmJob, FarmState, admitted, left_over, over, with_job
from lutfarm.scheduling.steps import Step
from lutfarm.scheduling.strategy import Plain, Strategy
from lutfarm.scheduling.unit import Unit
from lutfarm_agents.device import Hello
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Failure, Probe, Run, Slice

PLAN = Slicing()
HELLO = Hello(
    python="3.11.7",
    machine="x86_64",
    system="Linux",
    cpu_model="cpu",
    cpus=(0, 1),
    memory_bytes=2**34,
    machine_id="m1",
    runner_sha256="0" * 64,
    clock_resolution_ns=1,
    timer_pair_ns=75,
    runtimes={},
)


def measurement(name: str, unit: str = "desk", runtime: str = "onnxruntime") -> Measurement:
    return Measurement(Workload("operator", name), unit, Backend(runtime))  # type: ignore[arg-type]


def probe_of(m: Measurement, *, iteration_ns: int = 100_000, memory: int = 1_000_000) -> Probe:
    return Probe(m.key, m.device, {}, 0.0, load_ns=1_000_000, iteration_ns=iteration_ns, model_memory_bytes=memory)


def run_of(m: Measurement, status: str = "complete") -> Run:
    failure = Failure("WorkloadFailed", "signal 11") if status == "failed" else None
    return Run("0" * 32, m.key, m.device, "r", 0, status, 0.0, 1.0, {}, failure=failure)  # type: ignore[arg-type]


def level_run(m: Measurement, number: int, estimate_ns: int) -> Run:
    """A process of sixteen quiet slices that all say the same."""
    piece = Slice(
        0, (estimate_ns,) * 8, 100, 100, quiet=True, gated=True, involuntary_switches=0, waited_ns=0, wall_ns=1, cpu_ns=1
    )
    return replace(run_of(m), id=f"{m.key}{number}", round_id=f"r{number}", slices=(piece,) * 4)


JOB = "job"
PLAIN = Plain()


@dataclass(frozen=True)
class OneJob:
    """A farm with one job: what is asked of it is asked of the job, but for its devices."""

    farm: FarmState

    @property
    def job(self) -> JobProgress:
        return self.farm.job(JOB)

    @property
    def units(self) -> Mapping[str, Unit]:
        return self.farm.units

    @property
    def over(self) -> bool:
        return over(self.job, self.units)

    @property
    def left(self) -> tuple[str, ...]:
        return left_over(self.job, self.units)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job, name)


def begin(
    plan: Sequence[Measurement],
    units: Iterable[str],
    *,
    rounds: int,
    policies: Mapping[str, MeasuringPolicy] | None = None,
    strategy: Strategy = PLAIN,
    **terms: Any,
) -> OneJob:
    """The farm before its first order."""
    policies = policies or dict.fromkeys(units, MeasuringPolicy(PLAN))
    job = JobProgress(JOB, {m.key: m for m in plan}, policies, rounds, **terms)
    return OneJob(admitted(FarmState(), FarmJob(job, strategy), {name: policy.care for name, policy in policies.items()}))


def changed(state: OneJob, **values: Any) -> OneJob:
    """With something of its job, or its `units`, different."""
    farm = replace(state.farm, units=values.pop("units", state.units))
    return OneJob(with_job(farm, replace(state.job, **values)))


def resumed(state: OneJob, progress_of: Mapping[str, MeasurementProgress]) -> OneJob:
    return OneJob(with_job(state.farm, job_progress.resumed(state.job, progress_of)))


def after(state: OneJob, events: Sequence[Event], now_s: float) -> OneJob:
    """Results of a unit on which nothing runs are of an order that the job gave it, and that ended with them."""
    return OneJob(after_orders(state.farm, events, now_s, dict.fromkeys((event.order for event in events), JOB)))


def after_orders(state: FarmState, events: Sequence[Event], now_s: float, jobs: Mapping[str, str]) -> FarmState:
    """The same of a farm; `jobs`: by order."""
    results = {farm_state.unit_of(event): event.order for event in events if isinstance(event, Measured | Probed)}
    given = {unit: order for unit, order in results.items() if not state.units[unit].in_flight}
    for unit, order in given.items():
        state = farm_state.ordered(state, unit, order, jobs=[jobs[order]])
    ends = [Done(order, unit) for unit, order in given.items()]
    return farm_state.after(state, [*events, *ends], now_s)


def ordered(state: OneJob, unit: str, order: str, *, now_s: float = 0.0, due_s: float = 0.0) -> OneJob:
    return OneJob(farm_state.ordered(state.farm, unit, order, jobs=[JOB], now_s=now_s, due_s=due_s))


def out_of_work(state: OneJob, unit: str, out: str, reason: str) -> OneJob:
    return OneJob(farm_state.out_of_work(state.farm, unit, out, reason))


def decided(state: OneJob, now_s: float) -> list[Step]:
    return decide(state.farm, now_s)


def steps(state: OneJob, now_s: float = 0.0, memory: int = 2**31) -> list[Step]:
    return decided(changed(state, policies=dict.fromkeys(state.units, MeasuringPolicy(PLAN, memory))), now_s)


def opened(state: OneJob, *units: str, machine_id: str = "m1") -> OneJob:
    events = [Opened("o", unit, replace(HELLO, machine_id=machine_id)) for unit in units]
    return after(state, events, 0.0)


def probed(state: OneJob, *ms: Measurement) -> OneJob:
    return after(state, [Probed("o", probe_of(m)) for m in ms], 0.0)


A, B, C = (measurement(name) for name in "abc")
