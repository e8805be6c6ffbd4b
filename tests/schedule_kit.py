"""Measurements, what becomes of them, and states of a farm, for the scheduler."""

from dataclasses import replace

from lutfarm.agent_pool.interface import Opened, Probed
from lutfarm.scheduling.decide import Step, decide
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmState, after
from lutfarm_agents.device import Hello
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import SlicePlan
from lutfarm_jobs.run import Failure, Probe, Run, Slice

PLAN = SlicePlan()
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
    return Probe(m.key, m.unit, {}, 0.0, load_ns=1_000_000, iteration_ns=iteration_ns, model_memory_bytes=memory)


def run_of(m: Measurement, status: str = "complete") -> Run:
    failure = Failure("WorkloadFailed", "signal 11") if status == "failed" else None
    return Run("0" * 32, m.key, m.unit, "r", 0, status, 0.0, 1.0, {}, failure=failure)  # type: ignore[arg-type]


def level_run(m: Measurement, number: int, estimate_ns: int) -> Run:
    """A process of sixteen quiet slices that all say the same."""
    piece = Slice(
        0, (estimate_ns,) * 8, 100, 100, quiet=True, gated=True, involuntary_switches=0, waited_ns=0, wall_ns=1, cpu_ns=1
    )
    return replace(run_of(m), id=f"{m.key}{number}", round_id=f"r{number}", slices=(piece,) * 4)


def steps(state: FarmState, now_s: float = 0.0, memory: int = 2**31) -> list[Step]:
    return decide(state, dict.fromkeys(state.units, MeasuringPolicy(PLAN, memory)), now_s)


def opened(state: FarmState, *units: str, machine_id: str = "m1") -> FarmState:
    events = [Opened("o", unit, replace(HELLO, machine_id=machine_id)) for unit in units]
    return after(state, events, 0.0)


def probed(state: FarmState, *ms: Measurement) -> FarmState:
    return after(state, [Probed("o", probe_of(m)) for m in ms], 0.0)


A, B, C = (measurement(name) for name in "abc")
