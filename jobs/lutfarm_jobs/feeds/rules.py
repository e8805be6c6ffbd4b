"""What an input holds when nobody says so: by what it is for, by its name, by its type.  docs/jobs.md has the list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod

from lutfarm_jobs.feeds.analysis import LENGTHS, Role, Size
from lutfarm_jobs.feeds.given import text_of
from lutfarm_jobs.measurement import Feed, Fill
from lutfarm_jobs.models.info import FLOATING, WHOLE, ModelInput, integer_bounds

SAMPLE_RATE_HZ = 16000  # what speech is trained on
LAST = (1 << 31) - 1  # as a slice's end: as far as there is something
SMALL = 100  # whole numbers of which nothing is known: 1, 2, ... 100, 1, 2, ...
DATA_BITS = frozenset({"int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2"})

_ZEROS, _ONES, _COUNT = "zeros", "ones", "count"
# What works for any model that asks for it as an input, and changes as little as can be: keep sizes, take everything.
OF_ROLE: Mapping[tuple[str, int], str | float] = {
    ("If", 0): _ONES,
    ("Loop", 0): _ONES,
    ("Loop", 1): _ONES,
    ("Compress", 1): _ONES,
    ("NonZero", 0): _ONES,
    ("Reshape", 1): "whole",
    ("RESHAPE", 1): "whole",
    ("Expand", 1): _ONES,
    ("Tile", 1): _ONES,
    ("TILE", 1): _ONES,
    ("ConstantOfShape", 0): _ONES,
    ("FILL", 0): _ONES,
    ("BROADCAST_TO", 1): _ONES,
    ("Range", 0): _ZEROS,
    ("Range", 1): float(SMALL),
    ("Range", 2): _ONES,
    ("RANGE", 0): _ZEROS,
    ("RANGE", 1): float(SMALL),
    ("RANGE", 2): _ONES,
    ("Slice", 1): _ZEROS,
    ("Slice", 2): float(LAST),
    ("Slice", 3): _COUNT,
    ("Slice", 4): _ONES,
    ("SLICE", 1): _ZEROS,
    ("SLICE", 2): -1.0,
    ("STRIDED_SLICE", 1): _ZEROS,
    ("STRIDED_SLICE", 2): float(LAST),
    ("STRIDED_SLICE", 3): _ONES,
    ("Pad", 1): _ZEROS,
    ("Pad", 3): _COUNT,
    ("PAD", 1): _ZEROS,
    ("PADV2", 1): _ZEROS,
    ("MIRROR_PAD", 1): _ZEROS,
    ("TopK", 1): _ONES,
    ("TOPK_V2", 1): _ONES,
    ("Trilu", 1): _ZEROS,
    ("OneHot", 1): float(SMALL),
    ("ONE_HOT", 1): float(SMALL),
    ("Squeeze", 1): _ZEROS,
    ("Unsqueeze", 1): _COUNT,
    ("EXPAND_DIMS", 1): _ZEROS,
    ("CumSum", 1): _ZEROS,
    ("CUMSUM", 1): _ZEROS,
    ("Resize", 1): _ONES,
    ("Resize", 2): _ONES,
    ("Resize", 3): _ONES,
    ("Upsample", 1): _ONES,
    ("NonMaxSuppression", 2): float(SMALL),
    ("NonMaxSuppression", 3): 0.5,
    ("NonMaxSuppression", 4): _ZEROS,
    ("Dropout", 1): 0.5,
    ("Dropout", 2): _ZEROS,
    ("IF", 0): _ONES,
}
_REDUCTIONS = re.compile(r"Reduce\w+|SUM|MEAN|REDUCE_\w+|ARG_M(AX|IN)")
_MASK = re.compile(r"mask", re.IGNORECASE)
_KINDS_OF_TOKENS = re.compile(r"(token_?type|segment)(_?ids?)?", re.IGNORECASE)
_POSITIONS = re.compile(r"(^|[^a-z])pos(itions?)?([^a-z]|$|_?ids?)|cache_position", re.IGNORECASE)
_LENGTH = re.compile(r"(^|[^a-z])(seq_?)?len(gth)?s?([^a-z]|$)", re.IGNORECASE)
_RATE = re.compile(r"(^|[^a-z])(sr|fs|(sampl(e|ing)_?)?rate)([^a-z]|$)", re.IGNORECASE)


def assumed(declared: ModelInput, shape: tuple[int, ...], roles: Sequence[Role], shapes: Mapping[str, tuple[int, ...]]) -> Feed:
    """What an input of this shape holds; `shapes` are those of all inputs, by name."""
    fill = _of_use(declared, shape, roles, shapes) or _of_type(declared)
    return Feed(declared.name, fill, _said(fill))


def _of_use(
    declared: ModelInput, shape: tuple[int, ...], roles: Sequence[Role], shapes: Mapping[str, tuple[int, ...]]
) -> Fill | None:
    if declared.dtype not in FLOATING | WHOLE | {"bool"}:
        return None  # texts, sequences, and what nobody can make up
    for role in roles:
        made = OF_ROLE.get((role.kind, role.position))
        if made is None and role.position == 1 and _REDUCTIONS.fullmatch(role.kind):
            made = _COUNT
        if made is not None:
            return _filled(made, declared, shape)
        if role.kind in LENGTHS and role.position == LENGTHS[role.kind][0]:
            return _all(declared, _length(role, declared, shape, shapes))
    return None if declared.dtype in FLOATING else _of_name(declared, shape, roles, shapes)


def _of_name(
    declared: ModelInput, shape: tuple[int, ...], roles: Sequence[Role], shapes: Mapping[str, tuple[int, ...]]
) -> Fill | None:
    rows = min((bound for role in roles if (bound := _bound(role, shapes))), default=None)
    if _MASK.search(declared.name):
        return _all(declared, 1)
    if declared.dtype == "bool":
        return None
    if _KINDS_OF_TOKENS.search(declared.name):
        return _all(declared, 0)
    if _POSITIONS.search(declared.name):
        return Fill("count", (0, rows or 0))
    if rows is not None:
        return Fill("uniform", (0, min(rows, integer_bounds(declared.dtype)[1] + 1) - 1))
    if declared.dtype in DATA_BITS:
        return None
    if _LENGTH.search(declared.name):
        return _all(declared, _length(None, declared, shape, shapes))
    if _RATE.search(declared.name):
        return _all(declared, SAMPLE_RATE_HZ)
    return None


def _bound(role: Role, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """How many there are of what an index picks from: the fewest, of several axes; None where that is not known."""
    sizes = [_known(size, shapes) for size in role.rows]
    known = [size for size in sizes if size is not None]
    return min(known) if known and len(known) == len(sizes) else None


def _known(size: Size, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    if isinstance(size, int):
        return size
    name, axis = size
    axes = shapes.get(name, ())
    return axes[axis] if -len(axes) <= axis < len(axes) else None


def _of_type(declared: ModelInput) -> Fill:
    """Floats normal; bool true; small integers, which are data, over their whole range; others 1, 2, 3, ..."""
    inner = declared.dtype.rpartition("(")[2].rstrip(")")
    if inner in FLOATING:
        return Fill("normal")
    if inner == "bool":
        return Fill("constant", (True,))
    if inner in DATA_BITS:
        return Fill("uniform", integer_bounds(inner))
    return Fill("count", (1, SMALL)) if inner in WHOLE else Fill("normal")


def _filled(made: str | float, declared: ModelInput, shape: tuple[int, ...]) -> Fill:
    if made == "whole":  # a reshaping that fits whatever is there: all in the first dimension
        count = prod(shape)
        return Fill("values", (-1, *[1] * (count - 1))) if 0 < count <= 16 else _all(declared, 1)
    if made == _COUNT:
        return Fill("count", (0, 0))
    return _all(declared, {_ZEROS: 0, _ONES: 1}.get(made, 1) if isinstance(made, str) else made)


def _all(declared: ModelInput, value: float) -> Fill:
    """All elements alike, in the input's type and within it."""
    if declared.dtype == "bool":
        return Fill("constant", (bool(value),))
    if declared.dtype in FLOATING:
        return Fill("constant", (float(value),))
    low, high = integer_bounds(declared.dtype)
    return Fill("constant", (min(max(int(value), low), high),))


def _length(role: Role | None, declared: ModelInput, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of the sequence: as the graph says it; else the dimension behind the batch of the first other input that has one."""
    known = _known(role.length, shapes) if role is not None and role.length is not None else None
    if known is not None:
        return known
    others = [axes for name, axes in shapes.items() if name != declared.name and axes]
    batch = shape[0] if len(shape) == 1 else None
    for axes in others:
        if len(axes) > 1:
            return axes[0] if batch not in (None, axes[0]) and batch == axes[1] else axes[1]
    return others[0][0] if others else 1


def _said(fill: Fill) -> str:
    if fill.kind == "uniform":
        return "..".join(map(text_of, fill.numbers))
    if fill.kind == "count":
        return f"{fill.numbers[0]},{int(fill.numbers[0]) + 1},.."
    if fill.kind in ("constant", "values"):
        return ",".join(map(text_of, fill.numbers[:4]))
    return fill.kind
