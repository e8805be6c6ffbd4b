"""Entries as columns: what a table holds in memory, so that 100,000 of them load without an object each."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow carries no types.

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lutfarm.lut.schema.entry import Entry
from lutfarm_jobs.errors import SpecError

ColumnType = Literal["text", "number", "integer", "texts"]

# Parquet calls the items of a list so; under another name the same table would be another file after a round trip.
_TEXTS = pa.list_(pa.field("element", pa.string()))
_ARROW = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64(), "texts": _TEXTS}
_ANNOTATIONS: Mapping[str, tuple[ColumnType, bool]] = {
    "str": ("text", False),
    "str | None": ("text", True),
    "Kind": ("text", False),
    "float": ("number", False),
    "float | None": ("number", True),
    "int": ("integer", False),
    "int | None": ("integer", True),
    "tuple[str, ...]": ("texts", False),
}
# Annotations are text under `from __future__ import annotations`: a field of a new type fails here, at import.
COLUMNS: Mapping[str, tuple[ColumnType, bool]] = {f.name: _ANNOTATIONS[str(f.type)] for f in fields(Entry)}
SCHEMA = pa.schema([pa.field(name, _ARROW[kind], nullable=optional) for name, (kind, optional) in COLUMNS.items()])


class Columns:
    """Entries as one Arrow table with SCHEMA, never changed.  Made by `of_entries`, `of_values` or `of_arrow`."""

    def __init__(self, arrow: Any) -> None:
        self.arrow = arrow

    @classmethod
    def of_entries(cls, entries: Sequence[Entry]) -> Columns:
        """Raises SpecError for text that is no Unicode."""
        return cls.of_values({name: [getattr(entry, name) for entry in entries] for name in COLUMNS})

    @classmethod
    def of_values(cls, values: Mapping[str, Sequence[object]]) -> Columns:
        """From one sequence a column.  Raises SpecError for a value of another type, naming the field."""
        arrays: list[Any] = []
        for name, field in zip(COLUMNS, SCHEMA, strict=True):
            try:
                arrays.append(pa.array(values[name], type=field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise SpecError(f"field {name}: a value does not fit: {str(error)[:200]}") from error
        return cls(pa.table(arrays, schema=SCHEMA))

    @classmethod
    def of_arrow(cls, arrow: Any) -> Columns:
        """From an Arrow table as it was read.  Raises SpecError if its columns are others."""
        if not arrow.schema.equals(SCHEMA):
            odd = set(arrow.schema.names) ^ set(SCHEMA.names)
            raise SpecError(f"the columns are not those of a table: {', '.join(sorted(odd)) or 'their types or order'}")
        try:
            arrow.validate(full=True)
        except pa.ArrowInvalid as error:
            raise SpecError(f"a value that its column can't hold: {str(error)[:200]}") from error
        return cls(arrow.combine_chunks())

    def __len__(self) -> int:
        return self.arrow.num_rows

    def equals(self, other: Columns) -> bool:
        """Whether every value is the same."""
        return self.arrow.equals(other.arrow)

    def entries(self, rows: Sequence[int] | None = None) -> tuple[Entry, ...]:
        """As values, all or some rows."""
        part = self.arrow if rows is None else self.arrow.take(pa.array(rows, pa.int64()))
        values = [self._values(part, name) for name in COLUMNS]
        return tuple(Entry(*row) for row in zip(*values, strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """Every entry as plain data."""
        return self.arrow.to_pylist()

    def _values(self, part: Any, name: str) -> list[Any]:
        values = part.column(name).to_pylist()
        return [tuple(item) for item in values] if COLUMNS[name][0] == "texts" else values

    def texts(self, name: str) -> list[str]:
        """A text column."""
        return self.arrow.column(name).to_pylist()

    def lists(self, name: str) -> list[tuple[str, ...]]:
        """A column of texts."""
        return self._values(self.arrow, name)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers or integers as floats, NaN where there is none; shape (entries,)."""
        floats = self.arrow.column(name).cast(pa.float64(), safe=False)
        return pc.fill_null(floats, float("nan")).to_numpy()

    def nulls(self, name: str) -> NDArray[np.bool_]:
        """Where a column has no value; shape (entries,)."""
        return pc.is_null(self.arrow.column(name)).to_numpy()

    def equal(self, name: str, value: str) -> NDArray[np.bool_]:
        """Where a text column has a value; shape (entries,)."""
        return pc.fill_null(pc.equal(self.arrow.column(name), value), False).to_numpy()  # noqa: FBT003

    def repeated(self, name: str) -> NDArray[np.bool_]:
        """Where a text column has a value that stands further up already; shape (entries,)."""
        codes = _whole(self.arrow.column(name)).dictionary_encode().indices.to_numpy(zero_copy_only=False)
        again = np.ones(len(codes), dtype=np.bool_)
        again[np.unique(codes, return_index=True)[1]] = False
        return again

    def odd_names(self) -> NDArray[np.bool_]:
        """Where a column of texts has one that is missing, empty or holds white space; shape (entries,)."""
        odd = np.zeros(len(self), dtype=np.bool_)
        for name in (name for name, (kind, _) in COLUMNS.items() if kind == "texts"):
            array = _whole(self.arrow.column(name))
            parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
            fits = pc.fill_null(pc.match_substring_regex(array.flatten(), r"^\S+$"), False)  # noqa: FBT003
            odd[parents[~fits.to_numpy(zero_copy_only=False)]] = True
        return odd

    def where(self, **wanted: str) -> Columns:
        """The rows whose text columns have these values."""
        mask = np.ones(len(self), dtype=np.bool_)
        for name, value in wanted.items():
            mask &= self.equal(name, value)
        return Columns(self.arrow.filter(pa.array(mask)).combine_chunks())

    def digest(self) -> str:
        """SHA-256 of every value in a fixed layout: the same whatever file format they came from."""
        hasher = hashlib.sha256(f"{len(self)} entries".encode())
        for name, (kind, _) in COLUMNS.items():
            hasher.update(f"\n{name} {kind}\n".encode())
            for piece in _pieces(_whole(self.arrow.column(name)), kind):
                hasher.update(piece)
        return hasher.hexdigest()


def _whole(column: Any) -> Any:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)


def _pieces(array: Any, kind: ColumnType) -> Iterable[bytes]:
    """Validity, then values with 0 or an empty text for what is null, little-endian."""
    yield pc.is_valid(array).to_numpy(zero_copy_only=False).tobytes()
    if kind == "number":
        yield pc.fill_null(array, 0.0).to_numpy().astype("<f8").tobytes()
    elif kind == "integer":
        yield pc.fill_null(array, 0).to_numpy().astype("<i8").tobytes()
    elif kind == "text":
        yield from _text_pieces(pc.fill_null(array, ""))
    else:
        yield pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype("<i8").tobytes()
        yield from _text_pieces(array.flatten())


def _text_pieces(array: Any) -> Iterable[bytes]:
    yield pc.binary_length(array).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
    _, offsets, data = array.buffers()
    if data is not None and len(array):
        bounds = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
        yield data[int(bounds[0]) : int(bounds[-1])].to_pybytes()
