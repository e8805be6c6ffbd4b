"""The events of docs/wire.md as values, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm_agents import sanitize
from lutfarm_agents.device import Hello
from lutfarm_agents.wire import fields
from lutfarm_agents.wire.fields import Message, duration_ns, integer, refuse, text
from lutfarm_jobs.errors import FarmError, ProtocolMismatch, RunnerBug, from_wire
from lutfarm_jobs.measurement import NOTES
from lutfarm_jobs.run import Environment, NodeTime, Slice
from lutfarm_runner import PROTOCOL

MOST_SAMPLES = 100_000
MOST_NODES = 20_000  # of one network
SPENT = ("import", "load", "warmup", "canary", "slices", "wait", "other")
FATAL_CODES = ("WorkloadFailed", "OutOfMemory", "WorkloadTimeout", "Unstable")
DEVICE_CODES = ("NotReady", "ProtocolMismatch", "DeviceLost", "SpecError", "RunnerBug")


@dataclass(frozen=True, slots=True)
class ProbedEvent:
    """What a throwaway child found; `code` is empty where the workload is fine."""

    id: int
    code: str = ""
    detail: str = ""
    load_ns: int | None = None
    first_inference_ns: int | None = None
    iteration_ns: int | None = None
    peak_memory_bytes: int | None = None
    model_memory_bytes: int | None = None
    agreement: float | None = None
    floor_ns: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class StartedEvent:
    """The round's process runs."""

    environment: Environment
    import_ns: int
    canary_reference_ns: int
    reference_provisional: bool
    clock_step_ns: int


@dataclass(frozen=True, slots=True)
class LoadedEvent:
    """One workload is loaded."""

    id: int
    load_ns: int
    first_inference_ns: int


@dataclass(frozen=True, slots=True)
class SliceEvent:
    """One slice of one workload."""

    id: int
    slice: Slice


@dataclass(frozen=True, slots=True)
class NodesEvent:
    """What the runtime's profiler said of one workload."""

    id: int
    nodes: tuple[NodeTime, ...]


@dataclass(frozen=True, slots=True)
class EndedEvent:
    """The round is complete."""

    environment: Environment
    peak_memory_bytes: int | None
    rejected: Mapping[int, int]
    discarded: Mapping[int, int]
    spent_ns: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DiedEvent:
    """The round's process ended early; `id` is the workload that was to blame, if one was."""

    id: int | None
    code: str
    detail: str
    spent_ns: Mapping[str, int]


def hello(message: Message) -> Hello:
    """The first line.  Raises ProtocolMismatch for another protocol."""
    if message.get("type") != "hello":
        raise ProtocolMismatch(f"the device began with {_kind(message)!r}, not with hello")
    spoken = integer(message, "protocol", 0, 1 << 31)
    if spoken != PROTOCOL:
        raise ProtocolMismatch(f"the device speaks protocol {spoken}, not {PROTOCOL}; update the older side")
    runtimes = fields.entries(message, "runtimes")
    return Hello(
        python=text(message, "python", 200),
        machine=text(message, "machine", 100),
        system=text(message, "system", 300),
        cpu_model=text(message, "cpu_model", 300),
        cpus=fields.integers(message, "cpus", low=0, high=65_535, most=4096),
        memory_bytes=fields.size_bytes(message, "memory_bytes") or 0,
        machine_id=text(message, "machine_id", 100),
        runner_sha256=text(message, "runner_sha256", 64),
        clock_resolution_ns=duration_ns(message, "clock_resolution_ns"),
        timer_pair_ns=duration_ns(message, "timer_pair_ns"),
        runtimes={sanitize.clean(name, 100): text({"runtimes": version}, "runtimes", 100) for name, version in runtimes.items()},
        governor=_optional_text(message, "governor") or "",
        environment=environment(message),
        cpus_off=fields.integers(message, "cpus_off", low=0, high=65_535, most=4096),
        word_bits=integer(message, "word_bits", 8, 128),
        abi=text(message, "abi", 100),
        libc=text(message, "libc", 100),
    )


def environment(message: Message) -> Environment:
    """E of docs/wire.md."""
    found = fields.entries(message, "environment")
    return Environment(
        time_s=fields.number(found, "time_s", 0, 1e11),
        governor=_optional_text(found, "governor"),
        frequency_khz=fields.optional_integer(found, "frequency_khz", 0, 10**9),
        temperature_c=fields.optional_number(found, "temperature_c", -100, 300),
        temperature_zone=_optional_text(found, "temperature_zone"),
        load_1min=fields.optional_number(found, "load_1min", 0, 1e6),
        memory_available_bytes=fields.size_bytes(found, "memory_available_bytes"),
        battery_percent=fields.optional_number(found, "battery_percent", 0, 100),
        battery_charging=None if found.get("battery_charging") is None else fields.boolean(found, "battery_charging"),
        free_bytes=fields.size_bytes(found, "free_bytes"),
        busy_s=fields.optional_number(found, "busy_s", 0, 1e12),
        own_s=fields.optional_number(found, "own_s", 0, 1e12),
        cores=fields.optional_integer(found, "cores", 1, 65_536),
        virtual=None if found.get("virtual") is None else fields.boolean(found, "virtual"),
    )


def probed(message: Message, known: int) -> ProbedEvent:
    """One workload's probe; ids are 0 to known - 1."""
    found = integer(message, "id", 0, known - 1)
    if message.get("code") == "RunnerBug":
        raise RunnerBug(text(message, "detail", 100_000)[:8000])
    if "code" in message:
        return ProbedEvent(found, *_failure(message))
    return ProbedEvent(
        id=found,
        load_ns=duration_ns(message, "load_ns"),
        first_inference_ns=duration_ns(message, "first_inference_ns"),
        iteration_ns=duration_ns(message, "iteration_ns", least=1),
        peak_memory_bytes=fields.size_bytes(message, "peak_memory_bytes"),
        model_memory_bytes=fields.size_bytes(message, "model_memory_bytes"),
        agreement=fields.optional_number(message, "agreement", 0, 1e300),
        floor_ns=fields.optional_integer(message, "floor_ns", 0, fields.LARGEST_NS),
        notes={name: text({"notes": why}, "notes", 10_000)[:1000] for name, why in _notes(message).items()},
    )


def _notes(message: Message) -> Message:
    found = fields.entries({"notes": {}, **message}, "notes", most=len(NOTES))
    for name in found:
        if name not in NOTES:
            refuse("notes", name, f"one of {', '.join(NOTES)}")
    return found


def started(message: Message) -> StartedEvent:
    """The round's process runs."""
    return StartedEvent(
        environment(message),
        duration_ns(message, "import_ns"),
        duration_ns(message, "canary_reference_ns", least=1),
        fields.boolean(message, "reference_provisional"),
        duration_ns(message, "clock_step_ns", least=1),
    )


def loaded(message: Message, known: int) -> LoadedEvent:
    """One workload is loaded."""
    return LoadedEvent(
        integer(message, "id", 0, known - 1), duration_ns(message, "load_ns"), duration_ns(message, "first_inference_ns")
    )


def slice_(message: Message, known: int, passes: int) -> SliceEvent:
    """One slice: at least one sample, every one above zero."""
    samples = fields.integers(message, "samples_ns", low=1, high=fields.LARGEST_NS - 1, most=MOST_SAMPLES)
    if not samples:
        refuse("samples_ns", [], "at least one sample")
    return SliceEvent(
        integer(message, "id", 0, known - 1),
        Slice(
            pass_index=integer(message, "pass", 0, passes - 1),
            samples_ns=samples,
            canary_before_ns=duration_ns(message, "canary_before_ns", least=1),
            canary_after_ns=duration_ns(message, "canary_after_ns", least=1),
            quiet=fields.boolean(message, "quiet"),
            gated=fields.boolean(message, "gated"),
            involuntary_switches=integer(message, "involuntary_switches", 0, 10**9),
            waited_ns=duration_ns(message, "waited_ns"),
            wall_ns=duration_ns(message, "wall_ns"),
            cpu_ns=duration_ns(message, "cpu_ns"),
            run_delay_ns=fields.optional_integer(message, "run_delay_ns", 0, fields.LARGEST_NS),
            block=integer(message, "block", 1, MOST_SAMPLES),
        ),
    )


def nodes(message: Message, known: int) -> NodesEvent:
    """Per node: name, kind, count and level; in the order in which they ran."""
    found: list[NodeTime] = []
    for item in fields.items(message, "nodes", most=MOST_NODES):
        node = fields.entries({"node": item}, "node", most=4)
        found.append(
            NodeTime(
                text(node, "name", 300),
                text(node, "operator", 100),
                integer(node, "count", 1, 10**9),
                duration_ns(node, "lower_mean_ns"),
            )
        )
    return NodesEvent(integer(message, "id", 0, known - 1), tuple(found))


def ended(message: Message, known: int, passes: int) -> EndedEvent:
    """The round is complete."""
    rejected = fields.entries(message, "rejected", most=known)
    discarded = fields.entries(message, "discarded", most=known)
    return EndedEvent(
        environment(message),
        fields.size_bytes(message, "peak_memory_bytes"),
        {_id(name, known): integer({"rejected": n}, "rejected", 0, passes) for name, n in rejected.items()},
        {_id(name, known): integer({"discarded": n}, "discarded", 0, 10**9) for name, n in discarded.items()},
        spent(message),
    )


def died(message: Message, known: int) -> DiedEvent:
    """The round's process ended early."""
    return DiedEvent(fields.optional_integer(message, "id", 0, known - 1), *_failure(message), spent(message))


def spent(message: Message) -> Mapping[str, int]:
    """Where the time went; unknown names are refused."""
    found = fields.entries(message, "spent_ns")
    for name in found:
        if name not in SPENT:
            refuse("spent_ns", name, f"one of {', '.join(SPENT)}")
    return {name: duration_ns({"spent_ns": value}, "spent_ns") for name, value in found.items()}


def error(message: Message) -> FarmError:
    """Why a command was refused.  A device may not raise what is not its to say, such as a StoreError."""
    code = text(message, "code", 80)
    if code not in DEVICE_CODES:
        refuse("code", code, f"one of {', '.join(DEVICE_CODES)}")
    return from_wire(code, text(message, "detail", 100_000)[:8000])


def waiting(message: Message) -> str:
    """Who has the device."""
    return text(message, "holder", 500)


def _failure(message: Message) -> tuple[str, str]:
    code = text(message, "code", 80)
    if code not in FATAL_CODES:
        refuse("code", code, f"one of {', '.join(FATAL_CODES)}")
    return code, text(message, "detail", 100_000)[:4000]


def _id(name: str, known: int) -> int:
    if not name.isdecimal() or not name.isascii() or len(name) > 9 or int(name) >= known:
        refuse("rejected", name, f"an id from 0 to {known - 1}")
    return int(name)


def _kind(message: Message) -> str:
    return sanitize.clean(str(message.get("type")), 40)


def _optional_text(message: Message, name: str) -> str | None:
    return None if message.get(name) is None else text(message, name, 100)
