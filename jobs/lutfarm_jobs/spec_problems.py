"""What pydantic found wrong with a file, in one line that names the fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_NEEDED: Mapping[str, str] = {
    "missing": "it is missing",
    "extra_forbidden": "unknown field",
    **dict.fromkeys(("tuple_type", "list_type"), "a list is needed, such as [a, b]"),
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), "fields are needed, such as {key: value}"),
    "string_type": "a text is needed",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is needed"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number is needed"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number is needed"),
}
"""By pydantic's own name of a problem, what a person calls it."""
_NUMBERED: Mapping[str, str] = {
    "too_short": "at least {min_length} {things} needed, not {actual_length}",
    "too_long": "at most {max_length} {things} allowed, not {actual_length}",
    "string_too_short": "at least {min_length} characters are needed",
    "string_too_long": "at most {max_length} characters are allowed",
    "greater_than": "a number above {gt} is needed",
    "greater_than_equal": "{ge} or more is needed",
    "less_than": "a number below {lt} is needed",
    "less_than_equal": "{le} or less is needed",
    "string_pattern_mismatch": "it has not the form {pattern}",
    "literal_error": "one of {expected} is needed",
}


def describe(error: ValidationError) -> str:
    """One line a problem: the field's path and what is wrong with it."""
    problems = error.errors(include_url=False)
    inner = {problem["loc"][:-n] for problem in problems for n in range(1, len(problem["loc"]))}
    # A list of which every item is wrong is also called too short: one complaint is enough.
    problems = [p for p in problems if not (p["type"] == "too_short" and p["loc"] in inner)]
    lines = [f"{_field_path(problem['loc'])}: {_message(problem)}" for problem in problems[:10]]
    more = len(problems) - 10
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _field_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for position, part in enumerate(loc):
        if isinstance(part, int):
            path += f"[{part}]"
        elif "[" not in part and not (position >= 2 and loc[position - 2] in {"workloads", "devices"}):  # a union's tag
            path += f".{part}" if path else part
    return path or "file"


def _message(problem: Any) -> str:
    if problem["type"] in ("extra_forbidden", "missing"):
        return _NEEDED[problem["type"]]
    message = _words(problem)
    seen = problem.get("input")
    if isinstance(seen, str | int | float) and repr(seen)[:60] not in message:
        message += f" (seen: {repr(seen)[:60]})"
    return message


def _words(problem: Any) -> str:
    """In words of a job file; what has none keeps pydantic's."""
    kind, context = str(problem["type"]), dict(problem.get("ctx") or {})
    if kind in _NUMBERED:
        things = "item is" if context.get("min_length", context.get("max_length")) == 1 else "items are"
        return _NUMBERED[kind].format(**context, things=things)
    return _NEEDED.get(kind) or str(problem["msg"]).removeprefix("Value error, ")
