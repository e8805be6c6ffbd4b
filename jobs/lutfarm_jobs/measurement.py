"""The values that travel: what is measured, what one round yields for it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

MODELS_VERSION = 1                                 # of how operators and networks become files; another one, other files
Runtime = Literal["onnxruntime", "tflite", "tflite_benchmark_model", "onnxruntime_perf_test"]
ModelFormat = Literal["onnx", "tflite"]

FORMAT_OF_RUNTIME: Mapping[str, ModelFormat] = {
    "onnxruntime": "onnx", "tflite": "tflite", "tflite_benchmark_model": "tflite", "onnxruntime_perf_test": "onnx",
}

OUR_RUNTIMES = frozenset({"onnxruntime", "tflite"})   # that the runner feeds; native tools make up what they run on


# What a probe may note of a workload that runs: flags of its entries, each with what was seen.
NOTES = ("empty_outputs", "nan_outputs", "nondeterministic", "stateful", "unbound_outputs")
BUILT_PRECISION, BUILT_BATCH = "fp32", 1           # of what lutfarm makes itself: operators, networks, canaries


@dataclass(frozen=True, slots=True)
class Backend:
    """Runtime + provider or delegate + threads + precision of what is run (lutfarm_jobs.precision; empty: not told)."""

    runtime: Runtime
    threads: int = 1
    precision: str = BUILT_PRECISION
    provider: str = "cpu"

    @property
    def process_key(self) -> str:
        """What a process is started with, whatever it runs: for example `onnxruntime-cpu-t1`."""
        return f"{self.runtime}-{self.provider}-t{self.threads}"

    @property
    def key(self) -> str:
        """For example `onnxruntime-cpu-t1-fp32`."""
        return f"{self.process_key}-{self.precision}" if self.precision else self.process_key


@dataclass(frozen=True, slots=True)
class Conditions:
    """Batch size, how warm the device is, which of its cores run, and whether their clocks are fixed.

    state "sustained": after minutes of load; the number is that of the last third of them.
    cluster: of the profile; empty for the one that it measures on.
    """

    batch_size: int | None = BUILT_BATCH           # None: not told (lutfarm_jobs.models.batch)
    state: Literal["steady", "sustained"] = "steady"
    cluster: str = ""
    clocks: Literal["free", "fixed"] = "free"

    @property
    def key(self) -> str:
        """For example `b1-steady`, or `b1-sustained-cluster.big-fixed`."""
        batch = "" if self.batch_size is None else f"b{self.batch_size}-"
        cluster = f"-cluster.{self.cluster}" if self.cluster else ""
        return f"{batch}{self.state}{cluster}" + ("-fixed" if self.clocks == "fixed" else "")


@dataclass(frozen=True, slots=True)
class InputShape:
    """One fixed input of a model file: name as in the model, shape in elements, numpy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


LONGEST_SHAPES = 300                               # characters of a key; a database may index 2,700 bytes at most
FillKind = Literal["normal", "uniform", "constant", "count", "values", "file", "absent"]


@dataclass(frozen=True, slots=True)
class Fill:
    """How the elements of one input are made.

    "normal": standard normal numbers from the seed.  "uniform": from `numbers[0]` to `numbers[1]`, both included for
    whole numbers, from the seed.  "constant": all are `numbers[0]`.  "count": `numbers[0]`, one more, ... along the last
    axis, beginning again after `numbers[1]` of them (0: never).  "values": `numbers`, row by row.  "file": the values
    file of the workload holds them.  "absent": an optional that has no value.
    """

    kind: FillKind
    numbers: tuple[int | float | bool | str, ...] = ()   # texts where the input holds texts


@dataclass(frozen=True, slots=True)
class Feed:
    """What one input of a model file holds, and whether the job said so."""

    name: str
    fill: Fill
    said: str                                      # readable and short, for example `16000`, `0..30521`, `x.npy`
    given: bool = False
    decides: bool = False                          # what runs depends on its values: see lutfarm_jobs.feeds


@dataclass(frozen=True, slots=True)
class Workload:
    """What is run: an operator, a whole network of a space, or a model file.

    kind "operator": `name` is the operator's canonical key (lutfarm_jobs.operators).
    kind "network":  `name` is `<space name>:<architecture in the space's own encoding>`.
    kind "sandwich": an operator between two stubs, "stubs": two stubs alone (lutfarm_jobs.operators.sandwich).
    kind "file":     `name` is `<file name>@<first 12 digits of sha256>`; `sha256` the whole;
                     `inputs` the shapes that the job fixes, empty where the file's own are static;
                     `feeds` what each input holds, `values_sha256` the file that some of that lies in;
                     `computes`: some output depends on an input, or on chance;
                     `refused`: why the file can't be used.  It is never sent to a device, and is a failure.
                     `path` the file as the job names it, `takes` the types and shapes of all inputs, in words.
    """

    kind: Literal["operator", "network", "file", "sandwich", "stubs"]
    name: str
    sha256: str = ""
    inputs: tuple[InputShape, ...] = ()
    feeds: tuple[Feed, ...] = ()
    values_sha256: str = ""
    computes: bool = True
    refused: str = ""
    path: str = ""
    takes: str = ""

    @property
    def key(self) -> str:
        """Readable and stable; names everything that tells two workloads apart."""
        shapes = ",".join(f"{i.name}={'x'.join(map(str, i.shape))}" for i in self.inputs)
        if len(shapes) > LONGEST_SHAPES:
            shapes = f"{len(self.inputs)} shapes.{_digest(shapes)[:12]}"
        given = "refused" if self.refused else self._given
        return f"{self.kind}:{self.name}" + (f"[{shapes}]" if shapes else "") + (f"{{{given}}}" if given else "")

    @property
    def _given(self) -> str:
        """What the job gives, in words where they are short; empty where it gives nothing."""
        given = [feed for feed in self.feeds if feed.given]
        words = ",".join(f"{feed.name}={feed.said}" for feed in given)
        # Texts and names may hold what stands between two of them: then two feeds would have one key.
        plain = all(
            feed.fill.kind != "file" and not any(isinstance(one, str) for one in feed.fill.numbers) and "=" not in feed.name
            and "," not in feed.name for feed in given
        )
        if plain and re.fullmatch(r"[A-Za-z0-9._=,-]{0,60}", words):
            return words
        return f"values.{_digest([(feed.name, asdict(feed.fill)) for feed in given], self.values_sha256)[:12]}"

    @property
    def fed(self) -> str:
        """16 hexadecimal digits of what all inputs hold, given or not; empty where that never varies."""
        if not self.feeds:
            return ""
        return _digest([(feed.name, asdict(feed.fill)) for feed in self.feeds], self.values_sha256)[:16]

    @property
    def inputs_assumed(self) -> tuple[str, ...]:
        """The inputs that decide what runs and that the job says nothing of."""
        return tuple(feed.name for feed in self.feeds if feed.decides and not feed.given)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A quantity of workload x unit x backend x conditions."""

    workload: Workload
    unit: str
    backend: Backend
    conditions: Conditions = Conditions()
    quantity: Literal["latency"] = "latency"

    @property
    def key(self) -> str:
        """For example `latency/operator:conv_H56_.../desk/onnxruntime-cpu-t1-fp32/b1-steady`."""
        return "/".join((self.quantity, self.workload.key, self.unit, self.backend.key, self.conditions.key))

    @property
    def label(self) -> str:
        """The key, and of a file where it lies: for people."""
        return f"{self.key} ({self.workload.path})" if self.workload.path else self.key


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
    quiet: bool                     # both canaries calm, and nothing took the core away in between
    gated: bool                     # False: longer than the plan's `long_ns`: kept whatever the verdict
    involuntary_switches: int
    waited_ns: int                  # spent spinning for a quiet window before the slice
    wall_ns: int
    cpu_ns: int
    run_delay_ns: int | None = None # for how long its threads were ready and had no core, all together; None: not known
    block: int = 1                  # iterations between two readings of the clock; a sample is their mean


@dataclass(frozen=True, slots=True)
class Environment:
    """What was true on the device at one moment; None where it can't be read."""

    time_s: float                                  # Unix time of the device
    governor: str | None = None
    frequency_khz: int | None = None               # of the measured core
    temperature_c: float | None = None             # the processor's hottest zone, or that of what may be its
    load_1min: float | None = None
    memory_available_bytes: int | None = None
    battery_percent: float | None = None
    battery_charging: bool | None = None
    free_bytes: int | None = None                  # of the file system of the runner's folder
    power_w: float | None = None                   # what the device takes, by its profile's sensor
    busy_s: float | None = None                    # CPU time of all its cores since it booted, stolen time included
    own_s: float | None = None                     # CPU time of the process that says so
    cores: int | None = None                       # that are online
    virtual: bool | None = None                    # a guest of a hypervisor, where that shows
    temperature_zone: str | None = None            # the type of the zone that temperature_c is of


@dataclass(frozen=True, slots=True)
class ToolSummary:
    """What a native tool said of one invocation; None where it does not say."""

    statistic: Literal["tool_mean", "tool_median"]
    level_ns: int                                  # that statistic of the invocation's runs
    count: int
    min_ns: int
    max_ns: int
    median_ns: int | None = None
    p95_ns: int | None = None
    nodes_delegated: int | None = None             # that the asked delegate or provider took; as many as are printed
    nodes_total: int | None = None                 # of the graph
    partly_delegated: bool = False                 # something else ran the rest
    unknown_lines: tuple[str, ...] = ()            # that no known version prints


@dataclass(frozen=True, slots=True)
class NodeTime:
    """What a runtime's own profiler said of one node of a workload, in one process."""

    name: str                                      # as the runtime calls it
    operator: str                                  # its kind, as the runtime calls it
    count: int                                     # how many iterations were profiled
    level_ns: int                                  # mean of the lower half of their durations


@dataclass(frozen=True, slots=True)
class Run:
    """What one round yields for one measurement."""

    id: str                                        # 32 hex digits, unique
    key: str                                       # Measurement.key
    unit: str
    round_id: str
    round_index: int                               # 0, 1, ...: n-th fresh process of this measurement in its job
    status: Literal["complete", "truncated", "failed"]
    started_s: float                               # Unix time
    ended_s: float
    fingerprint: Mapping[str, str]                 # see lutfarm_agents.wire.session.fingerprint
    slices: tuple[Slice, ...] = ()
    failure: Failure | None = None                 # set if and only if status is "failed"
    load_ns: int | None = None                     # in this round's process
    first_inference_ns: int | None = None
    peak_memory_bytes: int | None = None           # of the round's process
    canary_reference_ns: int | None = None
    reference_provisional: bool = True
    slices_rejected: int = 0                       # passes in which no quiet window came
    slices_discarded: int = 0                      # slices that were timed, were not quiet, and were not kept
    clock_step_ns: int | None = None               # the smallest by which the device's clock moves, as its process saw it
    before: Environment | None = None
    after: Environment | None = None
    summary: ToolSummary | None = None             # of a tool session, which has no slices
    throttled: bool = False                        # the device slowed itself, by its own counters or temperature
    nodes: tuple[NodeTime, ...] = ()               # in the order in which they ran, where the plan says profile


@dataclass(frozen=True, slots=True)
class Probe:
    """What the throwaway child found out about one workload on one device."""

    key: str                                       # Measurement.key
    unit: str
    fingerprint: Mapping[str, str]
    probed_s: float                                # Unix time
    failure: Failure | None = None
    load_ns: int | None = None
    first_inference_ns: int | None = None
    iteration_ns: int | None = None                # median of a few warm iterations
    peak_memory_bytes: int | None = None           # of the child, resident
    model_memory_bytes: int | None = None          # peak minus what the child had before loading
    agreement: float | None = None                 # largest |difference| to the reference / largest |reference|
    call_floor_ns: int | None = None               # what a call of the runtime costs that computes nothing
    notes: Mapping[str, str] = field(default_factory=dict[str, str])   # of NOTES: what was seen


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """How one round samples; the constants of docs/measurement.md.  Part of the fingerprint."""

    passes: int = 16
    slice_ns: int = 400_000                        # a slice is as many iterations as fill this, at least one
    warmup_first: int = 5                          # iterations dropped after loading
    warmup_again: int = 2                          # iterations dropped after another workload ran
    gate_ratio: float = 1.12                       # canary at most this times its reference
    wait_ns: int = 12_000_000                      # spin at most this long for a quiet window
    contended_keep: int = 3                        # slices kept per measurement when no quiet window comes
    long_ns: int = 4_000_000                       # workloads with longer iterations are swept, not gated
    canary_iterations: int = 3                     # a canary level is the fastest of these
    sustained_ns: int = 0                          # more than 0: load each workload so long, in `passes` windows
    warm_up_ns: int = 0                            # canary before a round that comes after an idle time
    long_tries: int = 3                            # slices a pass of what is swept: another one while it was not quiet
    profile: int = 0                               # iterations under the runtime's profiler after each slice, if it has one


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use one device until a time, with a fencing token."""

    unit: str
    token: int
    owner: str                                     # readable: who holds it
    expires_s: float                               # Unix time


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file by content: `sha256` in hex, size, and the suffix that says its format."""

    sha256: str
    size_bytes: int
    suffix: Literal[".onnx", ".tflite", ".npz"]

    @property
    def file_name(self) -> str:
        """The content-addressed name that it has in every cache."""
        return self.sha256 + self.suffix


@dataclass(frozen=True, slots=True)
class Expected:
    """A sample of the reference output: flat positions in the model's own first output, and values there."""

    positions: tuple[int, ...]
    values: tuple[float, ...]
    largest: float                                 # largest absolute value of the whole reference output
    tolerance: float = 1e-4                        # relative to `largest`


@dataclass(frozen=True, slots=True)
class Task:
    """A measurement with all that a device needs to run it."""

    measurement: Measurement
    artifact: Artifact
    inputs: tuple[InputShape, ...] = ()            # empty: the model's own, which are static
    values: Artifact | None = None                 # what its inputs hold that are filled from a file
    input_layout: Literal["as_is", "nhwc"] = "as_is"   # nhwc: made as NCHW from the seed, then transposed
    expected: Expected | None = None
    iteration_ns: int | None = None                # from the probe; None before it
    model_memory_bytes: int | None = None          # from the probe
    random: tuple[str, ...] = ()                   # kinds of its operators that make random numbers

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files that the device needs."""
        return (self.artifact,) if self.values is None else (self.artifact, self.values)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one workload may take in the probe and in the round."""

    memory_bytes: int = 2 * 1024**3                # address space beyond what the runtime itself maps
    load_s: float = 60.0
    iteration_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """One fresh process on one device, given a chunk of measurements of one backend."""

    id: str
    index: int
    tasks: tuple[Task, ...]
    plan: SlicePlan
    seed: int
    canary: Artifact
    canary_reference_ns: int | None = None         # None: none is known for this device yet
    limits: Limits = field(default_factory=Limits)
    canary_provisional: bool = False               # known, but not from enough rounds over enough time
    strict: bool = False                           # a run on a throttled device is a failure
