"""What a device is asked for: a round, its tasks, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lutfarm_jobs.measurement import InputShape, Measurement


@dataclass(frozen=True, slots=True)
class Slicing:
    """How one round samples; the constants of docs/measurement.md.  Part of the fingerprint."""

    passes: int = 16
    slice_ns: int = 400_000  # a slice is as many iterations as fill this, at least one
    warmup_first: int = 5  # iterations dropped after loading
    warmup_again: int = 2  # iterations dropped after another workload ran
    gate_ratio: float = 1.12  # canary at most this times its reference
    wait_ns: int = 12_000_000  # spin at most this long for a quiet window
    contended_keep: int = 3  # slices kept per measurement when no quiet window comes
    long_ns: int = 4_000_000  # workloads with longer iterations are swept, not gated
    canary_iterations: int = 3  # a canary level is the fastest of these
    sustained_ns: int = 0  # more than 0: load each workload so long, in `passes` windows
    warm_up_ns: int = 0  # canary before a round that comes after an idle time
    long_tries: int = 3  # slices a pass of what is swept: another one while it was not quiet
    profile: int = 0  # iterations under the runtime's profiler after each slice, if it has one


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use one device until a time, with a fencing token."""

    device: str
    token: int
    owner: str  # readable: who holds it
    expires_s: float  # Unix time


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
    largest: float  # largest absolute value of the whole reference output
    tolerance: float = 1e-4  # relative to `largest`


@dataclass(frozen=True, slots=True)
class Task:
    """A measurement with all that a device needs to run it."""

    measurement: Measurement
    artifact: Artifact
    inputs: tuple[InputShape, ...] = ()  # empty: the model's own, which are static
    values: Artifact | None = None  # what its inputs hold that are filled from a file
    input_layout: Literal["as_is", "nhwc"] = "as_is"  # nhwc: made as NCHW from the seed, then transposed
    expected: Expected | None = None
    iteration_ns: int | None = None  # from the probe; None before it
    model_memory_bytes: int | None = None  # from the probe
    random: tuple[str, ...] = ()  # kinds of its operators that make random numbers

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files that the device needs."""
        return (self.artifact,) if self.values is None else (self.artifact, self.values)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one workload may take in the probe and in the round."""

    memory_bytes: int = 2 * 1024**3  # address space beyond what the runtime itself maps
    load_s: float = 60.0
    iteration_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """One fresh process on one device, given a chunk of measurements of one backend."""

    id: str
    index: int
    tasks: tuple[Task, ...]
    slicing: Slicing
    seed: int
    canary: Artifact
    canary_reference_ns: int | None = None  # None: none is known for this device yet
    limits: Limits = field(default_factory=Limits)
    canary_provisional: bool = False  # known, but not from enough rounds over enough time
    strict: bool = False  # a run on a throttled device is a failure
