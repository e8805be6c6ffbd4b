"""Values to rows and back.  Slices become one compressed blob of little-endian 64-bit integers.

Blob, version 2: the magic `LFS2`, then zlib of: slice count, then for each slice pass index, canary before,
canary after, flags (1 quiet, 2 gated, 4 for each further iteration of a block), involuntary switches, waited, wall and
CPU time, time spent ready without a core (-1: not known), sample count, and the samples; all int64, all times in ns.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from lutfarm_agents.address import UnknownAddress
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.health.check import HealthReport, Reference
from lutfarm_agents.health.findings import Finding
from lutfarm_agents.transports.registry import read_address, write_address
from lutfarm_jobs.errors import NotReady, SpecError, StoreError
from lutfarm_jobs.measurement import Backend, Conditions, Feed, Fill, InputShape, Measurement, Workload
from lutfarm_jobs.run import Environment, Failure, NodeTime, Probe, Run, Slice, ToolSummary

MAGIC = b"LFS2"
LARGEST_BYTES = 1 << 30
_FIELDS = 10

T = TypeVar("T")


def encode_slices(slices: Sequence[Slice]) -> bytes:
    """The blob of a run's slices."""
    numbers: list[int] = [len(slices)]
    for s in slices:
        numbers += (
            s.pass_index,
            s.canary_before_ns,
            s.canary_after_ns,
            s.quiet + 2 * s.gated + 4 * (s.block - 1),
            s.involuntary_switches,
            s.waited_ns,
            s.wall_ns,
            s.cpu_ns,
            -1 if s.run_delay_ns is None else s.run_delay_ns,
            len(s.samples_ns),
            *s.samples_ns,
        )
    return MAGIC + zlib.compress(struct.pack(f"<{len(numbers)}q", *numbers), 6)


def decode_slices(blob: bytes) -> tuple[Slice, ...]:
    """The slices of a blob.  Raises StoreError where it is damaged."""
    if blob[:4] != MAGIC:
        raise StoreError(f"a run's samples are damaged: the blob begins with {blob[:4]!r}, not {MAGIC!r}")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(blob[4:], LARGEST_BYTES)
        if not unpacker.eof or unpacker.unused_data or len(raw) % 8:
            raise StoreError("a run's samples are damaged: the blob is cut or too long")
        numbers = struct.unpack(f"<{len(raw) // 8}q", raw)
        return tuple(_slices(numbers))
    except (zlib.error, struct.error, IndexError) as error:
        raise StoreError(f"a run's samples are damaged: {error}") from error


def _slices(numbers: Sequence[int]) -> list[Slice]:
    found: list[Slice] = []
    at = 1
    for _ in range(numbers[0]):
        index, before, after, flags, switches, waited, wall, cpu, delay, count = numbers[at : at + _FIELDS]
        at += _FIELDS
        if count < 0 or at + count > len(numbers) or flags < 0:
            raise StoreError("a run's samples are damaged: the blob contradicts itself")
        samples = tuple(numbers[at : at + count])
        at += count
        quiet, gated, block = bool(flags & 1), bool(flags & 2), 1 + flags // 4
        found.append(
            Slice(index, samples, before, after, quiet, gated, switches, waited, wall, cpu, None if delay < 0 else delay, block)
        )
    if at != len(numbers):
        raise StoreError("a run's samples are damaged: the blob contradicts itself")
    return found


def canary_ns(slices: Sequence[Slice], share: float) -> int | None:
    """A quantile of the canary levels of a run; None without slices."""
    levels = sorted(level for s in slices for level in (s.canary_before_ns, s.canary_after_ns) if level > 0)
    return levels[int(share * (len(levels) - 1))] if levels else None


def to_json(value: object) -> str:
    """Canonical JSON: sorted keys, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def dump(value: Any, *, without: Sequence[str] = ()) -> str:
    """A frozen dataclass as JSON, some fields left out."""
    kept = replace(value, **dict.fromkeys(without))  # asdict copies deeply, and samples are many
    return to_json({name: item for name, item in asdict(kept).items() if name not in without})


def _load(kind: type[T], text: str, nested: Mapping[str, Callable[[Any], Any]] | None = None, **more: Any) -> T:
    """`nested`: what is made of fields that are no plain data, where they have a value."""
    makers = nested or {}
    try:
        content: dict[str, Any] = json.loads(text)
        known = {name: item for name, item in content.items() if name in _names(kind)}
        made = {name: make(known[name]) for name, make in makers.items() if known.get(name) is not None}
        return kind(**known | made | more)
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"a stored {kind.__name__} is damaged: {error}") from error


@lru_cache
def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


def _each(kind: type[Any]) -> Callable[[Mapping[str, Any]], Any]:
    return lambda item: kind(**item)


def _summary(item: Mapping[str, Any]) -> ToolSummary:
    values: dict[str, Any] = {**item, "unknown_lines": tuple(item.get("unknown_lines", ()))}
    return ToolSummary(**values)


def _nodes(items: Sequence[Mapping[str, Any]]) -> tuple[NodeTime, ...]:
    return tuple(NodeTime(**item) for item in items)


_OF_RUN = {
    "failure": _each(Failure),
    "before": _each(Environment),
    "after": _each(Environment),
    "summary": _summary,
    "nodes": _nodes,
}


def load_run(text: str, fingerprint: Mapping[str, str], slices: tuple[Slice, ...]) -> Run:
    """A Run from its JSON, its fingerprint and its slices."""
    return _load(Run, text, _OF_RUN, fingerprint=fingerprint, slices=slices)


def load_probe(text: str, fingerprint: Mapping[str, str]) -> Probe:
    """A Probe from its JSON and its fingerprint."""
    return _load(Probe, text, {"failure": _each(Failure)}, fingerprint=fingerprint)


def load_mapping(text: str) -> dict[str, str]:
    """A fingerprint from its JSON."""
    try:
        return {str(name): str(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise StoreError(f"a stored fingerprint is damaged: {error}") from error


def load_list(text: str) -> tuple[str, ...]:
    """Texts from their JSON."""
    try:
        return tuple(str(item) for item in json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(f"a stored list is damaged: {error}") from error


def load_device(text: str) -> Device:
    """A Device from its JSON.  One whose address can't be read is kept, with why: the others go on.  Raises StoreError."""
    found = _load(Device, text)
    stored: object = found.address
    try:
        if not isinstance(stored, dict):
            raise StoreError(f"the stored address of the device {found.name} has no fields; register it again")
        return replace(found, address=read_address(found.transport, cast(dict[str, object], stored)))
    except (SpecError, NotReady) as error:
        kept = cast(dict[str, object], stored)
        python, bundle = (str(kept.get(name) or "") for name in ("python", "bundle"))
        return replace(found, address=UnknownAddress(kept, error.detail, python=python, bundle=bundle))


def dump_device(device: Device) -> str:
    """Its JSON, the address as its transport writes it."""
    values = {f.name: getattr(device, f.name) for f in fields(device)}
    return to_json(values | {"address": write_address(device), "labels": dict(device.labels)})


def load_hello(text: str) -> Hello:
    """A Hello from its JSON."""
    return _load(Hello, text, {"cpus": tuple, "remarks": tuple, "cpus_off": tuple, "environment": _each(Environment)})


def load_report(text: str) -> HealthReport:
    """A HealthReport from its JSON."""
    report = _load(HealthReport, text)
    try:
        content: dict[str, Any] = json.loads(text)
        return replace(
            report,
            findings=tuple(Finding(**item) for item in content["findings"]),
            references=tuple(Reference(**item) for item in content["references"]),
        )
    except (TypeError, KeyError) as error:
        raise StoreError(f"a stored HealthReport is damaged: {error}") from error


def _feed(content: dict[str, Any]) -> Feed:
    fill = content["fill"]
    others = {name: value for name, value in content.items() if name != "fill"}
    return Feed(fill=Fill(fill["kind"], tuple(fill["numbers"])), **others)


def load_measurement(text: str) -> Measurement:
    """A Measurement from its JSON."""
    try:
        content = json.loads(text)
        workload = content["workload"]
        inputs = tuple(InputShape(i["name"], tuple(i["shape"]), i["dtype"]) for i in workload["inputs"])
        feeds = tuple(_feed(feed) for feed in workload.get("feeds", ()))
        return Measurement(
            Workload(**workload | {"inputs": inputs, "feeds": feeds}),
            content["device"],
            Backend(**content["backend"]),
            Conditions(**content["conditions"]),
            content["quantity"],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"a stored Measurement is damaged: {error}") from error
