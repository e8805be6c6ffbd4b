"""What pydantic found wrong with a file, in one line that names the fields."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError


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
        elif not (position >= 2 and loc[position - 2] in {"workloads", "devices"}):   # a union's tag
            path += f".{part}" if path else part
    return path or "file"


def _message(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    message = str(problem["msg"]).removeprefix("Value error, ")
    seen = problem.get("input")
    if isinstance(seen, str | int | float) and repr(seen)[:60] not in message:
        message += f" (seen: {repr(seen)[:60]})"
    return message
