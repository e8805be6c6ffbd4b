"""What a job may say of one input's values.  Whether it fits the input is found out beside the model: `given`."""

from __future__ import annotations

import math
from typing import Annotated, Any, cast

from pydantic import BeforeValidator

DEEPEST = 8  # lists within lists: as many dimensions as an input may have
LONGEST_TEXT = 4096
WORDS = ("ones", "zeros", "normal", "arange")

Scalar = bool | int | float


def checked(value: object) -> object:
    """The value itself, if it has one of the forms of docs/jobs.md.  Raises ValueError."""
    if isinstance(value, dict):
        return _mapping(cast("dict[object, object]", value))
    if isinstance(value, str):
        return _text(value)
    return _numbers(value, depth=0)


def _mapping(value: dict[object, object]) -> object:
    if "uniform" in value and value.keys() == {"uniform"}:
        bounds = value["uniform"]
        if not isinstance(bounds, list | tuple) or len(cast("list[object]", bounds)) != 2:
            raise ValueError("uniform needs two numbers, for example {uniform: [0, 30000]}")
        low, high = (_number(bound) for bound in cast("list[object]", bounds))
        if low > high:
            raise ValueError(f"uniform: {low} is more than {high}; the smaller number comes first")
        return {"uniform": [low, high]}
    if "file" in value and value.keys() <= {"file", "array"}:
        return {name: _text(text) for name, text in value.items()}
    raise ValueError("a mapping is {uniform: [LOW, HIGH]}, or {file: PATH} with or without array: NAME")


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or "\0" in value:
        raise ValueError(f"a text of 1 to {LONGEST_TEXT} characters is needed, not {str(value)[:40]!r}")
    return value


def _numbers(value: object, *, depth: int) -> object:
    if not isinstance(value, list | tuple):
        return value if isinstance(value, str) and depth else _number(value)
    if depth >= DEEPEST:
        raise ValueError(f"lists stand more than {DEEPEST} deep")
    return [_numbers(item, depth=depth + 1) for item in cast("list[object]", value)]


def _number(value: object) -> Scalar:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(f"a finite number, true or false is needed, not {str(value)[:40]!r}")


ValueChoice = Annotated[Any, BeforeValidator(checked)]
"""What a job says of one input: a number, a list, a word, a path, or one of the mappings."""
