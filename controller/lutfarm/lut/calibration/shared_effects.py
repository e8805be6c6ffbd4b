"""What alike operators have in common: the names of the effects that their deviations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lutfarm_jobs import operators
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import halved
from lutfarm_jobs.spaces.base import Space

RULE = "attributes-1"  # a calibration names the rule that it was fitted with


def features_of(space: Space, keys: Iterable[str] = ()) -> Mapping[str, tuple[str, ...]]:
    """The effects of a space's operators and of further ones, by operator key; none for what is nothing by structure."""
    return {key: effects_of(key) for key in (*space_keys(space), *keys)}


def space_keys(space: Space) -> tuple[str, ...]:
    """The keys of every operator that a network of the space may need and that costs something."""
    chosen = (operator for layer in space.layers for choice in layer.choices for operator, _ in choice.parts)
    always = (operator for operator, _ in space.fixed)
    every: Iterable[Operator] = (*always, *chosen, *space.extras())
    return tuple(dict.fromkeys(operator.key for operator in every if not operator.is_nothing))


@lru_cache(maxsize=100_000)
def effects_of(key: str) -> tuple[str, ...]:
    """The effects of one operator, from its key: kind, stage (channels and resolution), expansion, kernel, residual.

    A stage is where its output lies, so that the block that enters it belongs to it.  A key that is of no known kind
    shares nothing.
    """
    try:
        operator = operators.parse(key)
    except SpecError:
        return ()
    return tuple(_named(operator))


def _named(operator: Any) -> Iterable[str]:
    kind, kernel = str(operator.kind), getattr(operator, "kernel", None)
    channels = getattr(operator, "out_channels", None) or operator.channels
    stride = 2 if kind == "reduction" else getattr(operator, "stride", 1)
    yield f"kind:{kind}"
    yield f"stage:{channels}@{halved(operator.height, stride)}x{halved(operator.width, stride)}"
    if kernel is not None:
        yield f"kernel:{kind}-{kernel}"
    if stride > 1:
        yield f"stride:{kind}-{stride}"
    if kind == "mbconv":
        yield f"expansion:{operator.mid_channels / operator.in_channels:.2g}-g{operator.groups}"
        yield f"residual:{operator.residual}"
