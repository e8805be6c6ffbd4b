"""Table files: the format is told by the extension; written as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from lutfarm.lut.formats import csv, json, ofa_yaml, parquet, proxyless_yaml
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError, StoreUnwritable

Writer = Callable[[LatencyTable], bytes]

LARGEST_BYTES = 1 << 30

_WRITERS: Mapping[str, Writer] = {".json": json.dump, ".csv": csv.dump, ".parquet": parquet.dump}
_READERS: Mapping[str, Callable[[bytes], LatencyTable]] = {
    ".json": json.parse, ".csv": csv.parse, ".parquet": parquet.parse,
}
_YAML_STYLES: Mapping[str, Writer] = {"ofa": ofa_yaml.dump, "proxylessnas": proxyless_yaml.dump}


def save(table: LatencyTable, path: Path | str, *, yaml_style: str = "ofa") -> None:
    """Write .json, .csv or .parquet, which `load` reads back equal; or .yaml in a style that other projects read.

    Existing content is replaced atomically.  Raises SpecError for another extension or style or for a table that the
    format can't hold, StoreUnwritable where the file can't be written.
    """
    target = Path(path)
    content = _writer(target, yaml_style)(table)
    try:
        _replace(target, content)
    except OSError as error:
        raise StoreUnwritable(f"{target}: can't be written: {error.strerror or error}") from error


def load(path: Path | str) -> LatencyTable:
    """Read a table.  Raises SpecError naming the file and what is wrong: unreadable, cut, edited, too new."""
    source = Path(path)
    reader = _READERS.get(source.suffix.lower())
    if reader is None:
        raise SpecError(f"{source}: a table file ends in {', '.join(_READERS)}")
    try:
        with source.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{source}: can't be read: {reason}") from error
    if len(content) > LARGEST_BYTES:
        raise SpecError(f"{source}: longer than {LARGEST_BYTES} bytes, which is the most for a table")
    try:
        return reader(content)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error


def _writer(target: Path, yaml_style: str) -> Writer:
    suffix = target.suffix.lower()
    if suffix in (".yaml", ".yml"):
        if yaml_style not in _YAML_STYLES:
            raise SpecError(f"unknown YAML style {yaml_style!r}; known: {', '.join(_YAML_STYLES)}")
        return _YAML_STYLES[yaml_style]
    if suffix not in _WRITERS:
        raise SpecError(f"{target}: a table is written as {', '.join(_WRITERS)} or .yaml")
    return _WRITERS[suffix]


def _replace(target: Path, content: bytes) -> None:
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
