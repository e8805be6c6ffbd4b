"""Values that are made on the host: of types that numpy on a device may not know, and of whatever is no tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from lutfarm_jobs.feeds.values import Maybe, Row, Tensor, Value
from lutfarm_jobs.measurement import Fill
from lutfarm_jobs.models.info import RUNNER_TYPES, ModelInput

SEED = 0
TEXT = "a"  # an element of a text input of which nothing is known


def on_host(declared: ModelInput) -> bool:
    """Whether the runner leaves this input to the host."""
    return declared.dtype not in RUNNER_TYPES


def made(declared: ModelInput, fill: Fill, shape: tuple[int, ...]) -> Value | None:
    """What `fill` says, or normal numbers, in the input's type; None where nobody can make that up."""
    kind = declared.dtype
    if kind.startswith("optional("):
        inner = made(ModelInput(declared.name, declared.shape, kind.removeprefix("optional(").removesuffix(")")), fill, shape)
        return Maybe(inner) if isinstance(inner, Tensor | Row) else None
    if kind.startswith("sequence("):
        element = kind.removeprefix("sequence(").removesuffix(")")
        inner = made(ModelInput(declared.name, declared.shape, element), fill, shape)
        return Row(element, (inner, inner)) if isinstance(inner, Tensor) else None
    if kind == "string":
        text = fill.numbers[0] if fill.kind == "constant" else TEXT
        texts = fill.numbers if fill.kind == "values" else [text] * int(np.prod(shape, dtype=np.int64))
        return Tensor(kind, np.array(texts, object).reshape(shape))
    numpy_type = _numpy_type(kind)
    return None if numpy_type is None else Tensor(kind, _numbers(fill, shape).astype(numpy_type))


def _numpy_type(name: str) -> Any | None:
    import ml_dtypes

    if name.startswith("complex") or "(" in name:
        return None
    try:
        return np.dtype(getattr(ml_dtypes, name, name))
    except TypeError:
        return None


def _numbers(fill: Fill, shape: tuple[int, ...]) -> Any:
    random = np.random.RandomState(SEED)
    numbers: tuple[Any, ...] = fill.numbers
    if fill.kind == "constant":
        return np.full(shape, numbers[0])
    if fill.kind == "values":
        return np.array(numbers).reshape(shape)
    if fill.kind == "uniform":
        low, high = numbers
        whole = isinstance(low, int) and isinstance(high, int)
        return random.randint(low, high + 1, shape) if whole else random.uniform(low, high, shape)
    if fill.kind == "count":
        along = np.arange(shape[-1] if shape else 1)
        first, length = numbers
        return np.broadcast_to(first + (along % length if length else along), shape or (1,)).reshape(shape)
    return random.standard_normal(shape)
