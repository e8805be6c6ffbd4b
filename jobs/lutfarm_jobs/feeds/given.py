"""From what a job says of an input to how its elements are made, held against what the model says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from lutfarm_jobs.feeds.choices import WORDS, Scalar
from lutfarm_jobs.feeds.values import Value
from lutfarm_jobs.measurement import Fill
from lutfarm_jobs.models.info import FLOATING, WHOLE, ModelInput, integer_bounds

MOST_INLINE = 256  # elements that travel in the command itself
_SAID_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Given:
    """How an input is filled, as it is told to people, and the shape that comes with it (None: it fits any)."""

    fill: Fill
    said: str
    shape: tuple[int, ...] | None = None
    value: Value | None = None  # what a file holds


def given(choice: object, declared: ModelInput) -> Given:
    """What a job says without a file.  Raises ValueError with what does not fit."""
    if declared.dtype == "string":
        return _texts(choice)
    if declared.dtype not in FLOATING | WHOLE | {"bool"}:
        raise ValueError(f"the model's input is a {declared.text}; give a file: input_0.pb of ONNX's test data has its form")
    if isinstance(choice, str):
        return _word(choice, declared)
    if isinstance(choice, dict):
        low, high = cast("dict[str, list[Scalar]]", choice)["uniform"]
        bounds = _as(low, declared), _as(high, declared)
        return Given(Fill("uniform", bounds), f"{text_of(bounds[0])}..{text_of(bounds[1])}")
    if isinstance(choice, list):
        items = cast("list[object]", choice)
        shape = _shape(items)
        numbers = tuple(_as(item, declared) for item in _flat(items))
        return Given(Fill("values", numbers), _short(",".join(map(text_of, numbers))), shape)
    number = _as(cast(Scalar, choice), declared)
    return Given(Fill("constant", (number,)), text_of(number))


def _texts(choice: object) -> Given:
    """Texts for an input of texts: a list, or one for all elements."""
    items: list[object] = cast("list[object]", choice) if isinstance(choice, list) else [choice]
    texts = tuple(_flat(items))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("the model's input holds texts; write numbers in quotes")
    said = _short(",".join(map(str, texts)))
    return Given(Fill("values", texts), said, _shape(items)) if isinstance(choice, list) else Given(Fill("constant", texts), said)


def _word(word: str, declared: ModelInput) -> Given:
    if word not in WORDS:
        raise ValueError(f"{word[:80]!r} is no word ({', '.join(WORDS)}) and no file (.npy, .npz, .pb)")
    if word == "normal":
        if declared.dtype not in FLOATING:
            raise ValueError(f"normal numbers are for floating inputs; this one is {declared.text}: give uniform: [LOW, HIGH]")
        return Given(Fill("normal"), word)
    if word == "arange":
        return Given(Fill("count", (_as(0, declared), 0)), word)
    return Given(Fill("constant", (_as(int(word == "ones"), declared),)), word)


def _as(value: object, declared: ModelInput) -> Scalar:
    """A number of the input's type.  Raises ValueError where it is none."""
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{str(value)[:40]!r} is no number, and the input is {declared.text}")
    if declared.dtype == "bool":
        if value not in (0, 1):
            raise ValueError(f"{value} is neither true nor false, and the input is {declared.text}")
        return bool(value)
    if isinstance(value, bool) and declared.dtype not in FLOATING:
        raise ValueError(f"{str(value).lower()} is no number, and the input is {declared.text}")
    if declared.dtype in FLOATING:
        return float(value)
    low, high = integer_bounds(declared.dtype)
    if value != math.floor(value):
        raise ValueError(f"{value} is no whole number, and the input is {declared.text}")
    if not low <= value <= high:
        raise ValueError(f"{value} is not within {low} and {high}, and the input is {declared.text}")
    return int(value)


def _shape(items: list[object]) -> tuple[int, ...]:
    shapes = {_shape(cast("list[object]", item)) if isinstance(item, list) else () for item in items}
    if len(shapes) > 1:
        raise ValueError("its lists differ in length")
    return (len(items), *next(iter(shapes), ()))


def _flat(items: list[object]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(cast("list[object]", item))
        else:
            yield item


def text_of(value: object) -> str:
    """A number as a job would write it."""
    return str(value).lower() if isinstance(value, bool) else repr(value).removesuffix(".0")


def _short(text: str) -> str:
    return text if len(text) <= _SAID_CHARACTERS else f"{text[:_SAID_CHARACTERS]}…"
