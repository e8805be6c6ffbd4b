"""The values that travel: what is measured, what one round yields for it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

from lutfarm_jobs.measurement_key import (
    BUILT_BATCH,
    BUILT_PRECISION,
    MeasurementKey,
    backend_key,
    conditions_key,
    process_key,
    workload_key,
)

MODELS_VERSION = 1  # of how operators and networks become files; another one, other files
Place = tuple[str, str]
"""Where something is measured: the device, and the backend's key."""


# What a probe may note of a workload that runs: flags of its entries, each with what was seen.
NOTES = ("empty_outputs", "nan_outputs", "nondeterministic", "stateful", "unbound_outputs")


@dataclass(frozen=True, slots=True)
class Backend:
    """Runtime + provider or delegate + threads + precision of what is run (lutfarm_jobs.precision; empty: not told)."""

    runtime: str  # a name of lutfarm_jobs.runtimes
    threads: int = 1
    precision: str = BUILT_PRECISION
    provider: str = "cpu"

    @property
    def process_key(self) -> str:
        """What a process is started with, whatever it runs: for example `onnxruntime-cpu-t1`."""
        return process_key(self.runtime, self.provider, self.threads)

    @property
    def key(self) -> str:
        """For example `onnxruntime-cpu-t1-fp32`."""
        return backend_key(self.process_key, self.precision)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Batch size, how warm the device is, which of its cores run, and whether their clocks are fixed.

    state "sustained": after minutes of load; the number is that of the last third of them.
    cluster: of the profile; empty for the one that it measures on.
    """

    batch_size: int | None = BUILT_BATCH  # None: not told (lutfarm_jobs.models.batch)
    state: Literal["steady", "sustained"] = "steady"
    cluster: str = ""
    clocks: Literal["free", "fixed"] = "free"

    @property
    def key(self) -> str:
        """For example `b1-steady`, or `b1-sustained-cluster.big-fixed`."""
        return conditions_key(self.batch_size, self.state, self.cluster, fixed=self.clocks == "fixed")


@dataclass(frozen=True, slots=True)
class InputShape:
    """One fixed input of a model file: name as in the model, shape in elements, numpy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


LONGEST_SHAPES = 300  # characters of a key; a database may index 2,700 bytes at most
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
    numbers: tuple[int | float | bool | str, ...] = ()  # texts where the input holds texts


@dataclass(frozen=True, slots=True)
class Feed:
    """What one input of a model file holds, and whether the job said so."""

    name: str
    fill: Fill
    said: str  # readable and short, for example `16000`, `0..30521`, `x.npy`
    given: bool = False
    decides: bool = False  # what runs depends on its values: see lutfarm_jobs.feeds


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
        name = self.name + (f"[{shapes}]" if shapes else "") + (f"{{{given}}}" if given else "")
        return workload_key(self.kind, name)

    @property
    def _given(self) -> str:
        """What the job gives, in words where they are short; empty where it gives nothing."""
        given = [feed for feed in self.feeds if feed.given]
        words = ",".join(f"{feed.name}={feed.said}" for feed in given)
        # Texts and names may hold what stands between two of them: then two feeds would have one key.
        plain = all(
            feed.fill.kind != "file"
            and not any(isinstance(one, str) for one in feed.fill.numbers)
            and "=" not in feed.name
            and "," not in feed.name
            for feed in given
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


@dataclass(frozen=True)  # without slots, so that the key is made once: it is asked for thousands of times in each turn of a farm
class Measurement:
    """A quantity of workload x device x backend x conditions."""

    workload: Workload
    device: str
    backend: Backend
    conditions: Conditions = Conditions()
    quantity: Literal["latency"] = "latency"

    @cached_property
    def key(self) -> str:
        """For example `latency/operator:conv_H56_.../desk/onnxruntime-cpu-t1-fp32/b1-steady`."""
        return str(MeasurementKey(self.quantity, self.workload.key, self.device, self.backend.key, self.conditions.key))

    @property
    def label(self) -> str:
        """The key, and of a file where it lies: for people."""
        return f"{self.key} ({self.workload.path})" if self.workload.path else self.key
