"""Table files: the format is told by the extension; written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lutfarm.lut.formats import csv, header, json, ofa_yaml, parquet, proxyless_yaml
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.atomic_files import replace_all
from lutfarm_jobs.errors import SpecError, StoreUnwritable

Writer = Callable[[LatencyTable], bytes]

LARGEST_BYTES = 1 << 30
_OURS = f'"{header.FORMAT}"'.encode()

_WRITERS: Mapping[str, Writer] = {".json": json.dump, ".csv": csv.dump, ".parquet": parquet.dump}
_READERS: Mapping[str, Callable[[bytes], LatencyTable]] = {".json": json.parse, ".parquet": parquet.parse}
_YAML_STYLES: Mapping[str, Writer] = {"ofa": ofa_yaml.dump, "proxylessnas": proxyless_yaml.dump}


def save(table: LatencyTable, path: Path | str, *, yaml_style: str = "ofa") -> tuple[Path, ...]:
    """Write .json, .csv or .parquet, which `load` reads back equal; or .yaml in a style that other projects read.

    Returns what was written: for NAME.csv also NAME.manifest.json, which says what the table says of itself.  Existing
    content is replaced atomically, file by file.  Raises SpecError for another extension or style or for a table that the
    format can't hold, StoreUnwritable where a file can't be written.
    """
    target = Path(path)
    contents = {target: _writer(target, yaml_style)(table)}
    if target.suffix.lower() == ".csv":
        contents = {_free_for_ours(_beside(target)): csv.dump_beside(table)} | contents
    try:
        replace_all(contents)
    except OSError as error:
        raise StoreUnwritable(f"{target}: can't be written: {error.strerror or error}") from error
    return tuple(reversed(contents))


def load(path: Path | str) -> LatencyTable:
    """Read a table.  Raises SpecError naming the file and what is wrong: unreadable, cut, edited, too new."""
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix not in _WRITERS:
        raise SpecError(f"{source}: a table file ends in {', '.join(_WRITERS)}")
    if source.name.endswith(csv.BESIDE):
        raise SpecError(f"{source}: lies beside the entries of a table; name the .csv file")
    content = _read(source)
    beside = _read_beside(source) if suffix == ".csv" else b""
    try:
        return csv.parse(content, beside) if suffix == ".csv" else _READERS[suffix](content)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error


def _beside(source: Path) -> Path:
    return source.with_suffix(csv.BESIDE)


def _read(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{source}: can't be read: {reason}") from error
    if len(content) > LARGEST_BYTES:
        raise SpecError(f"{source}: longer than {LARGEST_BYTES} bytes, which is the most for a table")
    return content


def _read_beside(source: Path) -> bytes:
    try:
        return _read(_beside(source))
    except SpecError as error:
        raise SpecError(
            f"{error}; it says which devices, versions and protocol {source.name} is of, and that nothing of it was changed: "
            "copy it here too, or export the table again. The figures alone are read by pandas.read_csv"
        ) from error


def _free_for_ours(target: Path) -> Path:
    """The path itself.  Raises SpecError where a file of another kind has that name: nobody asked to replace it."""
    try:
        with target.open("rb") as file:
            ours = _OURS in file.read(200)
    except OSError:  # none, or one that can't be written either
        return target
    if not ours:
        raise SpecError(f"{target}: is there, and is none of ours; a .csv table needs that name: choose another for the table")
    return target


def _writer(target: Path, yaml_style: str) -> Writer:
    suffix = target.suffix.lower()
    if suffix in (".yaml", ".yml"):
        if yaml_style not in _YAML_STYLES:
            raise SpecError(f"unknown YAML style {yaml_style!r}; known: {', '.join(_YAML_STYLES)}")
        return _YAML_STYLES[yaml_style]
    if suffix not in _WRITERS:
        raise SpecError(f"{target}: a table is written as {', '.join(_WRITERS)} or .yaml")
    if target.name.endswith(csv.BESIDE):
        raise SpecError(f"{target}: is the name of what lies beside {target.name.removesuffix(csv.BESIDE)}.csv; choose another")
    return _WRITERS[suffix]
