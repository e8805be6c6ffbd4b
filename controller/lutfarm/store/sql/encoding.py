"""Values to rows and back; slice_blob.py has the slices."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from lutfarm_agents.address import UnknownAddress
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.health.check import HealthReport, Reference
from lutfarm_agents.health.findings import Finding
from lutfarm_agents.transports.registry import read_address, write_address
from lutfarm_jobs.errors import NotReady, SpecError, StoreError
from lutfarm_jobs.measurement import Backend, Conditions, Feed, Fill, InputShape, Measurement, Workload
from lutfarm_jobs.run import Environment, Failure, NodeTime, Probe, Run, Slice, ToolSummary

T = TypeVar("T")
_BEFORE, _AFTER = attrgetter("canary_before_ns"), attrgetter("canary_after_ns")


def canary_ns(slices: Sequence[Slice], shares: Sequence[float]) -> tuple[int, ...] | None:
    """Quantiles of the canary levels of a run; None without slices."""
    levels = sorted([*map(_BEFORE, slices), *map(_AFTER, slices)])
    levels = levels[bisect_right(levels, 0) :]
    return tuple(levels[int(share * (len(levels) - 1))] for share in shares) if levels else None


def to_json(value: object) -> str:
    """Canonical JSON: sorted keys, no NaN; a dataclass as its fields."""
    return _JSON.encode(value)


def dump(value: Any, *, without: frozenset[str] = frozenset()) -> str:
    """A dataclass as JSON, some fields left out, and those that hold the None that they hold where nothing is said."""
    return to_json(_content(value, without))


def _content(value: object, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    # Not asdict, which copies deeply and needs half of the time that a commit has.
    names, unsaid = _shape(type(value), without)
    return {name: item for name in names if (item := getattr(value, name)) is not None or name not in unsaid}


@lru_cache
def _shape(kind: type[Any], without: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of a dataclass's fields, and which of them are None by default."""
    kept = [field for field in fields(kind) if field.name not in without]
    return tuple(field.name for field in kept), frozenset(field.name for field in kept if field.default is None)


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_content)


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


RUN_COLUMNS = ("id", "key", "device", "round_id", "status", "started_s")
_ELSEWHERE = frozenset((*RUN_COLUMNS, "fingerprint", "before", "after", "slices"))
_OF_RUN = {"failure": _each(Failure), "summary": _summary, "nodes": _nodes}


def dump_run(run: Run) -> str:
    """What has no column of its own, as JSON."""
    return dump(run, without=_ELSEWHERE)


def load_run(text: str, **columns: Any) -> Run:
    """A Run from that and the fields that have columns; slices may be left out."""
    return _load(Run, text, _OF_RUN, **columns)


def load_environment(text: str | None) -> Environment | None:
    """An Environment from its JSON, where there is one."""
    return None if text is None else _load(Environment, text)


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
