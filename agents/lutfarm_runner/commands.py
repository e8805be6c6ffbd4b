"""Commands as values.  Every field is checked here: the sender is not trusted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from lutfarm_runner.known_runtimes import known_runtimes
from lutfarm_runner.wire import Refused

LARGEST = 1 << 62
MOST_INPUTS = 4096  # of one model; with the next three, what a host may ask for
LONGEST_NAME = 4096  # characters
HIGHEST_RANK = 32  # that every numpy has
LARGEST_SIZE = 1 << 40  # elements along one axis
# Operators that may be random or not, by an input; RandomNormal and the like always are.
SOMETIMES_RANDOM = frozenset({"Dropout", "BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"})
NO_WORKLOAD = -1  # the canary's id: what fails there is no workload's fault


@dataclass(frozen=True)
class Shape:
    """One fixed input: name as in the model, shape in elements, numpy dtype name."""

    name: str
    shape: Tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Fill:
    """How the elements of one input are made: lutfarm_jobs.measurement.Fill says what each kind means."""

    name: str
    kind: str
    numbers: Tuple[Union[int, float], ...] = ()
    at: int = 0  # of the kind "file": how many of that kind are before it


FILL_NUMBERS = {  # by kind: how many numbers it has, at least and at most
    "normal": (0, 0),
    "uniform": (2, 2),
    "constant": (1, 1),
    "count": (2, 2),
    "values": (0, 100_000),
    "file": (0, 0),
    "absent": (0, 0),
}


@dataclass(frozen=True)
class Expected:
    """A sample of the reference output, at flat positions of the first output."""

    positions: Tuple[int, ...]
    values: Tuple[float, ...]
    largest: float
    tolerance: float


@dataclass(frozen=True)
class Workload:
    """What to load and run."""

    id: int
    path: str
    runtime: str
    threads: int
    inputs: Tuple[Shape, ...] = ()
    input_layout: str = "as_is"
    seed: int = 0
    expected: Optional[Expected] = None
    iteration_ns: Optional[int] = None
    fills: Tuple[Fill, ...] = ()
    values: Optional[str] = None  # the file that fills of the kind "file" lie in, in their order
    random: Tuple[str, ...] = ()  # kinds of its operators that make random numbers


@dataclass(frozen=True)
class Limits:
    """What one workload may take."""

    memory_bytes: int
    load_s: float
    iteration_s: float


@dataclass(frozen=True)
class WireSlicing:
    """How a round samples: lutfarm_jobs.round.Slicing says what each field means."""

    passes: int
    slice_ns: int
    warmup_first: int
    warmup_again: int
    gate_ratio: float
    wait_ns: int
    contended_keep: int
    long_ns: int
    canary_iterations: int
    sustained_ns: int = 0
    profile: int = 0
    warm_up_ns: int = 0
    long_tries: int = 1


@dataclass(frozen=True)
class Lock:
    """Take the device's lock."""

    path: str
    owner: str
    holder: str
    farm: str
    token: int
    device: str = ""


@dataclass(frozen=True)
class Probe:
    """Run each workload once, in a child that is thrown away."""

    workloads: Tuple[Workload, ...]
    limits: Limits
    cpus: Tuple[int, ...]


@dataclass(frozen=True)
class Round:
    """One fresh process measures these."""

    workloads: Tuple[Workload, ...]
    slicing: WireSlicing
    seed: int
    canary: Workload
    reference_ns: Optional[int]
    limits: Limits
    cpus: Tuple[int, ...]


def called(names: Sequence[str]) -> List[str]:
    """What the inputs of a model are called: by name, and `#POSITION` where there is none or several have it."""
    often = {name for name, count in Counter(names).items() if count > 1}
    return [f"#{position}" if not name or name in often else name for position, name in enumerate(names)]


Fields = Mapping[str, Any]


def integer(fields: Fields, name: str, low: int, high: int) -> int:
    """An integer field within [low, high]."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused("SpecError", f"{name} is {value!r:.80}, not an integer from {low} to {high}")
    return value


def optional_integer(fields: Fields, name: str, low: int, high: int) -> Optional[int]:
    """An integer field, or None where it is absent or null."""
    return None if fields.get(name) is None else integer(fields, name, low, high)


def number(fields: Fields, name: str, low: float, high: float) -> float:
    """A number field within [low, high]."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise Refused("SpecError", f"{name} is {value!r:.80}, not a number from {low} to {high}")
    return float(value)


def text(fields: Fields, name: str, *, limit: int = 4096, default: Optional[str] = None) -> str:
    """A string field of at most `limit` characters without NUL."""
    value = fields.get(name, default)
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise Refused("SpecError", f"{name} is {value!r:.80}, not a string of at most {limit} characters")
    return value


def items(fields: Fields, name: str, *, least: int = 0, most: int) -> List[Any]:
    """A list field of `least` to `most` items."""
    value: Any = fields.get(name)
    if not isinstance(value, list) or not least <= len(value) <= most:  # pyright: ignore
        raise Refused("SpecError", f"{name} is not a list of {least} to {most} items")
    return value  # pyright: ignore[reportUnknownVariableType]


def mapping(fields: Fields, name: str) -> Dict[str, Any]:
    """An object field."""
    return as_mapping(fields.get(name), name)


def as_mapping(value: Any, name: str) -> Dict[str, Any]:
    """The value itself, if it is an object."""
    if not isinstance(value, dict):
        raise Refused("SpecError", f"{name} is not an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def read_shape(value: Any) -> Shape:
    """One item of a workload's `inputs`."""
    fields = as_mapping(value, "inputs")
    shape = tuple(integer({"shape": size}, "shape", 0, LARGEST_SIZE) for size in items(fields, "shape", most=HIGHEST_RANK))
    return Shape(text(fields, "name", limit=LONGEST_NAME), shape, text(fields, "dtype", limit=20))


def read_fill(value: Any) -> Fill:
    """One item of a workload's `fills`."""
    fields = as_mapping(value, "fills")
    kind = text(fields, "kind", limit=20)
    if kind not in FILL_NUMBERS:
        raise Refused("SpecError", f"kind is {kind!r}, not one of {', '.join(FILL_NUMBERS)}")
    least, most = FILL_NUMBERS[kind]
    numbers = items(fields, "numbers", least=least, most=most)
    if not all(isinstance(number, (bool, int, float)) and number == number for number in numbers):
        raise Refused("SpecError", "numbers holds what is no number")
    return Fill(text(fields, "name", limit=LONGEST_NAME), kind, tuple(numbers))


def read_fills(fields: Fields) -> Tuple[Fill, ...]:
    """A workload's `fills`, those in a file counted."""
    fills: List[Fill] = []
    in_file = 0
    for item in items({"fills": [], **fields}, "fills", most=MOST_INPUTS):
        fills.append(replace(read_fill(item), at=in_file))
        in_file += fills[-1].kind == "file"
    return tuple(fills)


def read_expected(value: Any) -> Optional[Expected]:
    """A workload's `expected`."""
    if value is None:
        return None
    fields = as_mapping(value, "expected")
    positions = items(fields, "positions", least=1, most=100_000)
    values = items(fields, "values", least=len(positions), most=len(positions))
    return Expected(
        tuple(integer({"positions": p}, "positions", 0, LARGEST) for p in positions),
        tuple(_any_float(v) for v in values),
        number(fields, "largest", 0.0, 1e300),
        number(fields, "tolerance", 0.0, 1e6),
    )


def _any_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused("SpecError", f"values holds {value!r:.80}, not a number")
    return float(value)


def read_workload(value: Any) -> Workload:
    """W of docs/wire.md."""
    fields = as_mapping(value, "workload")
    layout = text(fields, "input_layout", limit=20, default="as_is")
    if layout not in ("as_is", "nhwc"):
        raise Refused("SpecError", f"input_layout is {layout!r}, not as_is or nhwc")
    return Workload(
        id=integer(fields, "id", 0, 10_000_000),
        path=text(fields, "path"),
        runtime=read_runtime(fields),
        threads=integer(fields, "threads", 1, 256),
        inputs=tuple(read_shape(item) for item in items({"inputs": [], **fields}, "inputs", most=MOST_INPUTS)),
        input_layout=layout,
        seed=integer({"seed": 0, **fields}, "seed", 0, (1 << 32) - 1),
        expected=read_expected(fields.get("expected")),
        iteration_ns=optional_integer(fields, "iteration_ns", 1, LARGEST),
        fills=read_fills(fields),
        values=None if fields.get("values") is None else text(fields, "values"),
        random=tuple(text({"random": name}, "random", limit=100) for name in items({"random": [], **fields}, "random", most=100)),
    )


def read_runtime(fields: Fields) -> str:
    """A runtime that has a backend here."""
    runtime = text(fields, "runtime", limit=40)
    known = known_runtimes()
    if runtime not in known:
        raise Refused("SpecError", f"runtime is {runtime!r}; this runner has {', '.join(known)}")
    return runtime


def read_limits(fields: Fields) -> Limits:
    """L of docs/wire.md."""
    return Limits(
        memory_bytes=integer(fields, "memory_bytes", 1, LARGEST),
        load_s=number(fields, "load_s", 0.001, 86_400.0),
        iteration_s=number(fields, "iteration_s", 0.001, 86_400.0),
    )


def read_slicing(fields: Fields) -> WireSlicing:
    """P of docs/wire.md."""
    return WireSlicing(
        passes=integer(fields, "passes", 1, 100_000),
        slice_ns=integer(fields, "slice_ns", 1, 60_000_000_000),
        warmup_first=integer(fields, "warmup_first", 0, 10_000),
        warmup_again=integer(fields, "warmup_again", 0, 10_000),
        gate_ratio=number(fields, "gate_ratio", 1.0, 1000.0),
        wait_ns=integer(fields, "wait_ns", 0, 60_000_000_000),
        contended_keep=integer(fields, "contended_keep", 0, 100_000),
        long_ns=integer(fields, "long_ns", 1, LARGEST),
        canary_iterations=integer(fields, "canary_iterations", 1, 10_000),
        sustained_ns=integer({"sustained_ns": 0, **fields}, "sustained_ns", 0, 3_600_000_000_000),
        profile=integer({"profile": 0, **fields}, "profile", 0, 1000),
        warm_up_ns=integer({"warm_up_ns": 0, **fields}, "warm_up_ns", 0, 3_600_000_000_000),
        long_tries=integer({"long_tries": 1, **fields}, "long_tries", 1, 1000),
    )


def read_cpus(fields: Fields) -> Tuple[int, ...]:
    """The cores to measure on; empty: no pinning."""
    return tuple(integer({"cpus": cpu}, "cpus", 0, 65_535) for cpu in items(fields, "cpus", most=4096))


def read_workloads(fields: Fields) -> Tuple[Workload, ...]:
    """At least one workload, ids unique."""
    workloads = tuple(read_workload(item) for item in items(fields, "workloads", least=1, most=100_000))
    if len({workload.id for workload in workloads}) < len(workloads):
        raise Refused("SpecError", "two workloads have the same id")
    return workloads


def read_lock(fields: Fields) -> Lock:
    """The `lock` command."""
    path = text(fields, "path")
    if not path.startswith("/"):
        raise Refused("SpecError", f"path is {path!r}, not an absolute path")
    return Lock(
        path,
        text(fields, "owner", limit=200),
        text(fields, "holder", limit=500),
        text(fields, "farm", limit=100),
        integer(fields, "token", 0, LARGEST),
        text(fields, "device", limit=200, default=""),
    )


def read_probe(fields: Fields) -> Probe:
    """The `probe` command."""
    return Probe(read_workloads(fields), read_limits(mapping(fields, "limits")), read_cpus(fields))


def read_round(fields: Fields) -> Round:
    """The `round` command; a round is of one runtime and one number of threads."""
    workloads = read_workloads(fields)
    canary = mapping(fields, "canary")
    kinds = {(workload.runtime, workload.threads) for workload in workloads}
    if kinds != {(canary.get("runtime"), canary.get("threads"))}:
        raise Refused("SpecError", f"a round and its canary are of one runtime and thread count, not {kinds}")
    return Round(
        workloads,
        read_slicing(mapping(fields, "slicing")),
        integer(fields, "seed", 0, LARGEST),
        replace(read_workload({**canary, "id": 0}), id=NO_WORKLOAD),
        optional_integer(canary, "reference_ns", 1, LARGEST),
        read_limits(mapping(fields, "limits")),
        read_cpus(fields),
    )
