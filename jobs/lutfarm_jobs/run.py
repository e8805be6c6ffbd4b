"""What one round yields for one measurement, and what a probe found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Failure:
    """A MeasurementError as a stored result: `code` is the class name of lutfarm_jobs.errors."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive timed iterations of one measurement, a canary before and after."""

    pass_index: int
    samples_ns: tuple[int, ...]
    canary_before_ns: int
    canary_after_ns: int
    quiet: bool  # both canaries calm, and nothing took the core away in between
    gated: bool  # False: longer than the plan's `long_ns`: kept whatever the verdict
    involuntary_switches: int
    waited_ns: int  # spent spinning for a quiet window before the slice
    wall_ns: int
    cpu_ns: int
    run_delay_ns: int | None = None  # for how long its threads were ready and had no core, all together; None: not known
    block: int = 1  # iterations between two readings of the clock; a sample is their mean


@dataclass(frozen=True, slots=True)
class Environment:
    """What was true on the device at one moment; None where it can't be read."""

    time_s: float  # Unix time of the device
    governor: str | None = None
    frequency_khz: int | None = None  # of the measured core
    temperature_c: float | None = None  # the processor's hottest zone, or that of what may be its
    load_1min: float | None = None
    memory_available_bytes: int | None = None
    battery_percent: float | None = None
    battery_charging: bool | None = None
    free_bytes: int | None = None  # of the file system of the runner's folder
    power_w: float | None = None  # what the device takes, by its profile's sensor
    busy_s: float | None = None  # CPU time of all its cores since it booted, stolen time included
    own_s: float | None = None  # CPU time of the process that says so
    cores: int | None = None  # that are online
    virtual: bool | None = None  # a guest of a hypervisor, where that shows
    temperature_zone: str | None = None  # the type of the zone that temperature_c is of


@dataclass(frozen=True, slots=True)
class ToolSummary:
    """What a native tool said of one invocation; None where it does not say."""

    statistic: Literal["tool_mean", "tool_median"]
    estimate_ns: int  # that statistic of the invocation's runs
    count: int
    min_ns: int
    max_ns: int
    median_ns: int | None = None
    p95_ns: int | None = None
    nodes_delegated: int | None = None  # that the asked delegate or provider took; as many as are printed
    nodes_total: int | None = None  # of the graph
    partly_delegated: bool = False  # something else ran the rest
    unknown_lines: tuple[str, ...] = ()  # that no known version prints


@dataclass(frozen=True, slots=True)
class NodeTime:
    """What a runtime's own profiler said of one node of a workload, in one process."""

    name: str  # as the runtime calls it
    operator: str  # its kind, as the runtime calls it
    count: int  # how many iterations were profiled
    lower_mean_ns: int  # mean of the lower half of their durations


@dataclass(frozen=True, slots=True)
class Run:
    """What one round yields for one measurement."""

    id: str  # 32 hex digits, unique
    key: str  # Measurement.key
    device: str
    round_id: str
    round_index: int  # 0, 1, ...: n-th fresh process of this measurement in its job
    status: Literal["complete", "truncated", "failed"]
    started_s: float  # Unix time
    ended_s: float
    fingerprint: Mapping[str, str]  # see lutfarm_agents.fingerprint
    slices: tuple[Slice, ...] = ()
    failure: Failure | None = None  # set if and only if status is "failed"
    load_ns: int | None = None  # in this round's process
    first_inference_ns: int | None = None
    peak_memory_bytes: int | None = None  # of the round's process
    canary_reference_ns: int | None = None
    reference_provisional: bool = True
    slices_rejected: int = 0  # passes in which no quiet window came
    slices_discarded: int = 0  # slices that were timed, were not quiet, and were not kept
    clock_step_ns: int | None = None  # the smallest by which the device's clock moves, as its process saw it
    before: Environment | None = None
    after: Environment | None = None
    summary: ToolSummary | None = None  # of a tool session, which has no slices
    throttled: bool = False  # the device slowed itself, by its own counters or temperature
    nodes: tuple[NodeTime, ...] = ()  # in the order in which they ran, where the plan says profile


@dataclass(frozen=True, slots=True)
class Probe:
    """What the throwaway child found out about one workload on one device."""

    key: str  # Measurement.key
    device: str
    fingerprint: Mapping[str, str]
    probed_s: float  # Unix time
    failure: Failure | None = None
    load_ns: int | None = None
    first_inference_ns: int | None = None
    iteration_ns: int | None = None  # median of a few warm iterations
    peak_memory_bytes: int | None = None  # of the child, resident
    model_memory_bytes: int | None = None  # peak minus what the child had before loading
    agreement: float | None = None  # largest |difference| to the reference / largest |reference|
    call_floor_ns: int | None = None  # what a call of the runtime costs that computes nothing
    notes: Mapping[str, str] = field(default_factory=dict[str, str])  # of NOTES: what was seen
