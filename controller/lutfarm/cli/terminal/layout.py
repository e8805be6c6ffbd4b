"""How a table lies on a terminal of some width, and how it goes into a pipe.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from rich.cells import cell_len, set_cell_size

from lutfarm.cli.terminal.shortened import shortened
from lutfarm.cli.terminal.wrapped import wrapped

BETWEEN = "  "
BELOW = "    "
LEAST_KEY = 10  # narrower no key is made
LEAST_ROWS = 3  # under a heading of their own, on average

Kind = Literal["value", "key", "shared", "words", "prose"]
LineKind = Literal["heading", "header", "row", "below"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name, and what may become of it where a line is too short.

    `key` is shortened in the middle.  `shared` too; the same in every row, it is a heading.  Of `words` those that every
    row has are a heading.  `prose` stands at the end of its row or below it; so do, at last, `words` and values.
    """

    name: str
    kind: Kind = "value"
    right: bool = False  # numbers
    beside: str = ""  # columns of one such name leave their rows together


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a terminal."""

    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column with its cells, of which some may be shorter than they were."""

    column: Column
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(cell_len, (self.column.name, *self.cells)))

    def narrower(self, excess: int) -> _Shown:
        """So many cells narrower, or as many as can be."""
        names = shortened(set(self.cells), max(LEAST_KEY, self.width - excess))
        return replace(self, cells=tuple(names[cell] for cell in self.cells))


def pipe_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line a row, the names of the columns first; cells whole, separated by tabs."""
    return ["\t".join(cells) for cells in ([column.name for column in columns], *rows)]


def terminal_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Lines of at most `width` cells, wherever the longest key that can't be made shorter allows it.

    Where values would have to leave their rows, rows with the same device, backend and so on become tables of their own.
    """
    shown = [_Shown(column, tuple(row[at] for row in rows)) for at, column in enumerate(columns)]
    headings, shown = _headings([each for each in shown if any(each.cells) or not rows])
    shown, below = _fitted(shown, width)
    if any(each.column.kind != "prose" for each in below) and (parts := _parts(columns, rows)):
        laid_out = [terminal_lines(columns, part, width) for part in parts]
        return [line for part in laid_out[:-1] for line in (*part, Line("heading", ""))] + laid_out[-1]
    return [*_headed(headings, width), *_rows(shown, below, width, len(rows))]


def _rows(shown: Sequence[_Shown], below: Sequence[_Shown], width: int, count: int) -> Iterator[Line]:
    """Each row, with the first prose that belongs below it at its end where it fits there, and what stands below it."""
    tail = next((each for each in below if each.column.kind == "prose"), None)
    lines = [_line(shown, [each.cells[at] for each in shown]) for at in range(count)]
    ends = [f"{line}{BETWEEN}{tail.cells[at]}".rstrip() if tail else line.rstrip() for at, line in enumerate(lines)]
    inside = {at for at, end in enumerate(ends) if tail and tail.cells[at] and cell_len(end) <= width}
    header = _line(shown, [each.column.name for each in shown])
    if tail and inside and cell_len(header + BETWEEN + tail.column.name) <= width:
        header += BETWEEN + tail.column.name
    yield Line("header", header.rstrip())
    for at, line in enumerate(lines):
        yield Line("row", ends[at] if at in inside else line.rstrip())
        left = [(each.column, each.cells[at]) for each in below if not (each is tail and at in inside)]
        yield from (Line("below", text) for text in _below(left, width))


def _parts(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[list[Sequence[str]]]:
    """Rows that follow each other and share what is a heading then; none where that makes more headings than rows."""
    shared = [at for at, column in enumerate(columns) if column.kind == "shared"]
    parts = [list(part) for _, part in groupby(rows, key=lambda row: [row[at] for at in shared])]
    return parts if 1 < len(parts) <= len(rows) / LEAST_ROWS else []


def _headings(shown: Sequence[_Shown]) -> tuple[list[tuple[str, str]], list[_Shown]]:
    """What is the same in every row, and the columns without it."""
    found: list[tuple[str, str]] = []
    left: list[_Shown] = []
    for each in shown:
        if each.column.kind == "shared" and len(set(each.cells)) == 1:
            found.append((each.column.name, each.cells[0]))
        elif each.column.kind == "words" and len(each.cells) > 1:
            common = [word for word in each.cells[0].split() if all(word in cell.split() for cell in each.cells)]
            rest = tuple(" ".join(word for word in cell.split() if word not in common) for cell in each.cells)
            found += [(f"{each.column.name} in every row", " ".join(common))] if common else []
            left += [replace(each, cells=rest)] if any(rest) else []
        else:
            left.append(each)
    return found, left


def _headed(headings: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """On one line, or on one each."""
    texts = [f"{name}: {value}" for name, value in headings]
    together = "   ".join(texts)
    if cell_len(together) <= width:
        return [Line("heading", together)] if texts else []
    return [Line("heading", line) for text in texts for line in wrapped(text, width)]


def _fitted(shown: list[_Shown], width: int) -> tuple[list[_Shown], list[_Shown]]:
    """What stands in the rows and what below them: prose first, then shorter keys, then what else is at the right."""
    below: list[_Shown] = []
    while _excess(shown, width) > 0:
        if prose := [each for each in shown if each.column.kind == "prose" and each is not shown[0]]:
            moved = prose[-1:]
        else:
            narrow = _narrowed(shown, width)
            movable = [each for each in shown[1:] if each.column.kind == "words"] or shown[1:]
            if _excess(narrow, width) <= 0 or not movable:
                return narrow, below
            last = movable[-1].column
            moved = [each for each in movable if each.column is last or (last.beside and each.column.beside == last.beside)]
        shown = [each for each in shown if each not in moved]
        below = [*moved, *below]
    return shown, below


def _narrowed(shown: Sequence[_Shown], width: int) -> list[_Shown]:
    """With keys as short as it takes: first those of devices and the like, of which there are few, the widest first."""
    found = list(shown)
    keys = [at for at, each in enumerate(found) if each.column.kind in ("key", "shared")]
    for at in sorted(keys, key=lambda at: (found[at].column.kind == "key", -found[at].width)):
        if (excess := _excess(found, width)) > 0:
            found[at] = found[at].narrower(excess)
    return found


def _excess(shown: Sequence[_Shown], width: int) -> int:
    return sum(each.width for each in shown) + len(BETWEEN) * (len(shown) - 1) - width


def _line(shown: Sequence[_Shown], cells: Sequence[str]) -> str:
    padded = [_padded(cell, each.width, right=each.column.right) for each, cell in zip(shown, cells, strict=True)]
    return BETWEEN.join(padded)


def _padded(cell: str, width: int, *, right: bool) -> str:
    return " " * (width - cell_len(cell)) + cell if right else set_cell_size(cell, width)


def _below(cells: Sequence[tuple[Column, str]], width: int) -> Iterator[str]:
    """Values side by side, prose on lines of its own."""
    short = [f"{column.name} {cell}" for column, cell in cells if cell and column.kind not in ("prose", "words")]
    line = ""
    for text in short:
        if line and cell_len(f"{line}; {text}") > width:
            yield line
            line = ""
        line = f"{line}; {text}" if line else BELOW + text
    if line:
        yield line
    for column, cell in cells:
        if cell and column.kind in ("prose", "words"):
            yield from wrapped(cell, width, first=f"{BELOW}{column.name}: ", indent=BELOW + "  ")
