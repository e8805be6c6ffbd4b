"""Which entries of a table, in which order, and what of them: conditions and columns by name.  Pure."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lutfarm.lut.schema.columns import COLUMNS, ColumnType
from lutfarm.lut.schema.entry import IN_QUANTITY_UNIT, Entry
from lutfarm_jobs.errors import SpecError

# A column's name may be said without what stands at its end: `load` for `load_ns`.
ENDINGS = ("_ns", "_c", "_khz", "_bytes")
OTHER_NAMES: Mapping[str, str] = {
    "p50": "median",
    "latency": "estimate",
    "interval": "relative_half_width",
    "batch": "batch_size",
}
"""What a table's headings call a column, and people."""
QUERIED: Mapping[str, tuple[ColumnType, bool]] = {**COLUMNS, "relative_half_width": ("number", True)}
"""What can be asked for: a table's columns, and what follows from them."""
SHARES = frozenset(
    {
        "relative_half_width",
        "variation",
        "between_spread",
        "within_spread",
        "iteration_spread",
        "slice_spread",
        "round_spread",
        "sitting_spread",
        "common_share",
        "canary_level",
        "wall_over_cpu",
        "confidence",
    }
)
"""Of which 2 % may be said: 0.02."""
UNITS_NS: Mapping[str, float] = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}

_SIGNS = (">=", "<=", "!=", "!~", "==", ">", "<", "=", "~")
_CONDITION = re.compile(rf"\s*([A-Za-z0-9_]+)\s*({'|'.join(_SIGNS)})\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"([0-9.eE+-]+)\s*(ns|us|ms|s|%)?")
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
SUGGESTED = 3


def column_named(text: str) -> str:
    """The column that a name means: its own, one without its unit, or a heading of `lut show`, in capitals or not.

    Raises SpecError with the names that there are.
    """
    name = text.strip().lower()
    if name in QUERIED:
        return name
    meant = OTHER_NAMES.get(name) or next((name + ending for ending in ENDINGS if name + ending in COLUMNS), None)
    if meant is None:
        names = list(dict.fromkeys((*QUERIED, *OTHER_NAMES, *(without_unit(column) for column in COLUMNS))))
        near = difflib.get_close_matches(name, names, SUGGESTED)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise SpecError(f"a table has no column {name[:80]!r}; {hint}It has {', '.join((*OTHER_NAMES, *QUERIED))}")
    return meant


def without_unit(column: str) -> str:
    """A column's name without its unit."""
    ending = next((each for each in ENDINGS if column.endswith(each)), "")
    return column.removesuffix(ending)


@dataclass(frozen=True, slots=True)
class Condition:
    """`column sign value`; an entry without a value in the column meets `!=` and `!~` alone, and `column=` itself."""

    column: str
    sign: str  # > >= < <= = != ~ !~
    value: str
    number: float | None = None  # of a column of numbers

    def holds(self, entry: Entry) -> bool:
        """Whether an entry meets it."""
        found: Any = getattr(entry, self.column)
        missing = _is_nothing(found)
        if not self.value:
            return missing is (self.sign == "=")
        if missing:
            return self.sign.startswith("!")
        if self.number is not None:
            return _ORDER[self.sign](found, self.number)
        texts: Sequence[str] = (found,) if isinstance(found, str) else found
        met = any(self.value in text for text in texts) if self.sign.endswith("~") else self.value in texts
        return met is not self.sign.startswith("!")


def _is_nothing(value: object) -> bool:
    return value is None or value in ("", ())


def condition(text: str) -> Condition:
    """From `estimate>1ms`, `flags~contended`, `workload~conv`, `p95=`.  Raises SpecError."""
    found = _CONDITION.fullmatch(text)
    if not found:
        raise SpecError(f"{text[:80]!r} is no condition: COLUMN, one of {' '.join(_SIGNS)} and a value, such as 'estimate>1ms'")
    column, sign, value = column_named(found[1]), found[2].replace("==", "="), found[3]
    if QUERIED[column][0] in ("text", "texts"):
        if sign in (">", ">=", "<", "<="):
            raise SpecError(f"{text[:80]!r}: {column} is text; compare it with = != ~ (holds) or !~ (doesn't)")
        if sign.endswith("~") and not value:
            raise SpecError(f"{text[:80]!r}: a text is missing behind {sign}")
        return Condition(column, sign, value)
    if sign.endswith("~"):
        raise SpecError(f"{text[:80]!r}: {column} is a number; compare it with > >= < <= = or !=")
    if not value:
        if sign not in ("=", "!="):
            raise SpecError(f"{text[:80]!r}: a number is missing behind {sign}")
        return Condition(column, sign, value)
    return Condition(column, sign, value, _number(text, column, value))


def _number(text: str, column: str, value: str) -> float:
    """In the column's unit; a time may say its own, a share its per cent."""
    found = _NUMBER.fullmatch(value)
    try:
        number = float(found[1]) if found else math.nan
    except ValueError:
        number = math.nan
    if not found or not math.isfinite(number):
        raise SpecError(f"{text[:80]!r}: {value[:40]!r} is no number; write 1200, 1.2e6, of times 1.2ms, of shares 2%")
    if found[2] == "%":
        if column not in SHARES:
            raise SpecError(f"{text[:80]!r}: {column} is no share; of these per cent may be said: {', '.join(sorted(SHARES))}")
        return number / 100
    if found[2] and not (column in IN_QUANTITY_UNIT or column.endswith("_ns")):
        raise SpecError(f"{text[:80]!r}: {column} is no time; write the number alone")
    return number * UNITS_NS[found[2] or "ns"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is shown of a table: entries that meet every condition, by the columns in `order`, at most `limit` of them.

    `order`: columns, the first decides first, with whether the largest comes first; what has no value comes last.
    """

    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that are asked for, in their order."""
        found = [entry for entry in entries if all(each.holds(entry) for each in self.conditions)]
        for column, descending in reversed(self.order):
            there = [entry for entry in found if getattr(entry, column) is not None]
            there.sort(key=operator.attrgetter(column), reverse=descending)
            found = there + [entry for entry in found if getattr(entry, column) is None]
        return found[: self.limit]


def query(*, where: Sequence[str] = (), sort: Sequence[str] = (), limit: int | None = None) -> Query:
    """From what is typed; a minus before a column sorts the largest first.  Raises SpecError."""
    order = tuple((column_named(text.removeprefix("-")), text.startswith("-")) for text in sort)
    return Query(tuple(map(condition, where)), order, limit)


def columns_named(texts: Sequence[str]) -> tuple[str, ...]:
    """From `workload,p50,p95`, once or several times.  Raises SpecError."""
    return tuple(dict.fromkeys(column_named(name) for text in texts for name in text.split(",") if name.strip()))
