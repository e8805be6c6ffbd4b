"""Canonical keys: from an operator to its key and back, and to a graph of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast, get_args

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Activation, Graph
from lutfarm_jobs.operators import kinds
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import LETTERS

FLAGS = frozenset({"expands", "squeezes", "residual"})
LARGEST = 65_536
KINDS: Mapping[str, type[kinds.Base]] = {
    kind.kind: kind
    for kind in (
        kinds.Conv,
        kinds.MBConv,
        kinds.Skip,
        kinds.Identity,
        kinds.Nothing,
        kinds.ReluConvBN,
        kinds.Reduction,
        kinds.AvgPool,
        kinds.MaxPool,
        kinds.GlobalAvgPool,
        kinds.BNAct,
        kinds.Act,
        kinds.Add,
        kinds.FullyConnected,
    )
}


def make(kind: str, values: Mapping[str, object]) -> Operator:
    """An operator from its kind and fields.  Raises SpecError naming the field."""
    if kind not in KINDS:
        raise SpecError(f"unknown kind of operator {kind[:40]!r}; known: {', '.join(KINDS)}")
    wanted = [f.name for f in fields(KINDS[kind])]
    if unknown := sorted(set(values) - set(wanted)):
        raise SpecError(f"{kind}: unknown field {str(unknown[0])[:40]!r}; it has {', '.join(wanted)}")
    if missing := [name for name in wanted if name not in values]:
        raise SpecError(f"{kind}: {missing[0]} is missing")
    checked: dict[str, Any] = {name: _checked(kind, name, values[name]) for name in wanted}
    operator = KINDS[kind](**checked)
    _check_whole(operator)
    return cast(Operator, operator)  # the base class has no append of its own


def _checked(kind: str, name: str, value: object) -> int | str:
    if name == "activation":
        if value not in get_args(Activation):
            raise SpecError(f"{kind}: activation is one of {', '.join(get_args(Activation))}, not {str(value)[:40]!r}")
        return str(value)
    least, most = _range(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecError(f"{kind}: {name} is a whole number from {least} to {most}, not {str(value)[:40]!r}")
    return value


def _range(name: str) -> tuple[int, int]:
    return (0, 1) if name in FLAGS else (1, LARGEST)


def _check_whole(operator: kinds.Base) -> None:
    """What no field can say by itself."""
    kind = operator.kind
    groups = getattr(operator, "groups", 1)
    widths = [getattr(operator, name, groups) for name in ("in_channels", "out_channels", "mid_channels")]
    if any(width % groups for width in widths):
        raise SpecError(f"{kind}: groups {groups} must divide the channels {widths}")
    if isinstance(operator, kinds.MBConv):
        if operator.residual and (operator.stride != 1 or operator.in_channels != operator.out_channels):
            raise SpecError(f"{kind}: a residual needs stride 1 and equal channels")
        if not operator.expands and operator.mid_channels != operator.in_channels:
            raise SpecError(f"{kind}: without an expansion mid_channels equals in_channels")
    if isinstance(operator, kinds.Act) and operator.activation == "none":
        raise SpecError(f"{kind}: an activation of none is nothing; name one that computes something")
    if isinstance(operator, kinds.FullyConnected) and (operator.height, operator.width) != (1, 1):
        raise SpecError(f"{kind}: height and width are 1")


@lru_cache(maxsize=100_000)
def parse(key: str) -> Operator:
    """The operator of a canonical key.  Raises SpecError that says what is wrong with it."""
    shown = key[:100]
    if len(key) > 300:
        raise SpecError(f"{shown!r}...: too long for an operator's key")
    kind, *parts = key.split("_")
    if kind not in KINDS:
        raise SpecError(f"{shown!r} is no operator's key: it begins with none of {', '.join(KINDS)}")
    names = [f.name for f in fields(KINDS[kind])]
    if "activation" in names:  # h_swish and h_sigmoid have the separator in their names
        before = len(names) - 1
        parts = [*parts[:before], *(["_".join(parts[before:])] if parts[before:] else [])]
    if len(parts) != len(names):
        pattern = "_".join((kind, *(LETTERS[n] + "N" if LETTERS[n] else "ACTIVATION" for n in names)))
        raise SpecError(f"{shown!r} is no operator's key: {pattern} is needed")
    values = {name: _value(shown, name, part) for name, part in zip(names, parts, strict=True)}
    return make(kind, values)


def _value(shown: str, name: str, part: str) -> int | str:
    if name == "activation":
        return part
    match = re.fullmatch(re.escape(LETTERS[name]) + r"(0|[1-9][0-9]{0,6})", part, re.ASCII)
    if match is None:
        least, most = _range(name)
        raise SpecError(
            f"{shown!r} is no operator's key: {part[:40]!r} should be {LETTERS[name]} and a number from {least} to {most}, "
            "without leading zeros"
        )
    return int(match[1])


def seed_of(key: str) -> int:
    """A seed for weights that follows from a name."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")


def graph_of(operator: Operator) -> Graph:
    """The operator as a model of its own; its weights' seed follows from its key."""
    graph = Graph(operator.key, operator.input_shape, seed_of(operator.key))
    return graph.finish(operator.append(graph, graph.input))
