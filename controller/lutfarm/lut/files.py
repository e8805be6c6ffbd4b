"""Table files: the format is told by the extension; written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lutfarm.lut.formats import header
from lutfarm.lut.formats.known import FORMATS, Beside, TableFormat, extension
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.atomic_files import replace_all
from lutfarm_jobs.errors import PluginRefused, SpecError, StoreUnwritable

LARGEST_BYTES = 1 << 30


def save(table: LatencyTable, path: Path | str, *, format: str = "") -> tuple[Path, ...]:
    """Write .json, .csv or .parquet, which `load` reads back equal; .yaml, which other projects read; or what a package adds.

    `format`: its name, where several have the extension; default: the first of them, ours before others', for .yaml
    `ofa.yaml`.  Returns what was written: for NAME.csv also NAME.manifest.json, which says what the table says of itself.
    A table that is there is replaced atomically, file by file.  Raises SpecError for another extension or format, for a table
    that the format can't hold and where a file is no table, StoreUnwritable where a file can't be written.
    """
    return save_all(table, {Path(path): format})


def save_all(table: LatencyTable, formats: Mapping[Path, str]) -> tuple[Path, ...]:
    """As `save`, several files: by path the format's name, or nothing.  All are checked, and drafted, before one is written."""
    contents: dict[Path, bytes] = {}
    files: list[Path] = []
    for target, format in formats.items():
        found = _contents(table, target, format)
        contents |= found
        files += reversed(found)
    try:
        replace_all(contents)
    except OSError as error:
        named = ", ".join(map(str, formats))
        raise StoreUnwritable(f"{named}: can't be written: {error.strerror or error}") from error
    return tuple(files)


def _contents(table: LatencyTable, target: Path, format: str) -> dict[Path, bytes]:
    """By path, the last of them the table's own."""
    name = _written_as(target, format)
    written = FORMATS[name]
    with FORMATS.calling(name):
        _refuse_other(target, name)
        if written.beside is None:
            return {target: dumped(table, name)[0]}
        beside = _free_for_ours(_beside(target, written.beside), target)
        content, content_beside = dumped(table, name)
        return {beside: content_beside, target: content}


def dumped(table: LatencyTable, format: str) -> tuple[bytes, bytes]:
    """A table as the bytes of a file of a format, and of the file that lies beside it; nothing where none does.

    Raises SpecError for a format that there is not, and a table that it can't hold.
    """
    written = FORMATS[format]
    with FORMATS.calling(format):
        beside = written.beside.dump(table) if written.beside else b""
        return FORMATS.given(format, written.dump(table), bytes), FORMATS.given(format, beside, bytes)


def load(path: Path | str) -> LatencyTable:
    """Read a table.  Raises SpecError naming the file and what is wrong: unreadable, cut, edited, too new."""
    source = Path(path)
    name = _read_as(source)
    content, found = _read(source), FORMATS[name]
    with FORMATS.calling(name):
        beside = _read_beside(source, found.beside) if found.beside else b""
    try:
        with FORMATS.calling(name):
            return FORMATS.given(name, _parsed(found, content, beside), LatencyTable)
    except PluginRefused:
        raise
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error


def _parsed(found: TableFormat, content: bytes, beside: bytes) -> LatencyTable:
    if found.beside is not None:
        return found.beside.parse(content, beside)
    if found.parse is None:
        raise ValueError("a format that is only written")
    return found.parse(content)


def _read_as(source: Path) -> str:
    """The format of a file that is there.  Raises SpecError."""
    if first := _first_of(source):
        raise SpecError(f"{source}: lies beside the entries of a table; name the {first.suffix} file")
    for name in _of_extension(source):
        if FORMATS[name].reads:
            return name
    known = dict.fromkeys(extension(name) for name in FORMATS.own() if FORMATS[name].reads)
    more = dict.fromkeys(extension(name) for name in FORMATS.names() if name not in FORMATS.own())
    others = "".join(f", {one} (of another package)" for one in more if one not in known)
    raise SpecError(f"{source}: a table file ends in {', '.join(known)}{others}")


def _of_extension(path: Path) -> list[str]:
    """The formats whose files end so."""
    suffix = path.suffix.lower().replace(".yml", ".yaml")
    return [name for name in FORMATS.names() if extension(name) == suffix]


def _written_as(target: Path, wanted: str) -> str:
    fitting = _of_extension(target)
    if wanted and wanted not in FORMATS:
        raise SpecError(FORMATS.unknown(wanted))
    if wanted and wanted not in fitting:
        raise SpecError(f"{target}: a file of the format {wanted} ends in {extension(wanted)}")
    if not fitting:
        known = dict.fromkeys(map(extension, FORMATS.names()))
        raise SpecError(f"{target}: a table is written as {', '.join(known)}")
    if first := _first_of(target):
        raise SpecError(f"{target}: is the name of what lies beside {first}; choose another")
    return wanted or fitting[0]


def _first_of(path: Path) -> Path | None:
    """The file that a file of ours of this name would lie beside; None where it would be none."""
    for name in FORMATS.own():
        beside = FORMATS[name].beside
        if beside is not None and path.name.endswith(beside.ending):
            return Path(path.name.removesuffix(beside.ending) + extension(name))
    return None


def _beside(source: Path, beside: Beside) -> Path:
    return source.with_suffix(beside.ending)


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


def _read_beside(source: Path, beside: Beside) -> bytes:
    path = _beside(source, beside)
    try:
        return _read(path)
    except SpecError as error:
        raise SpecError(
            f"{error}; it says which devices, versions and protocol {source.name} is of, and that nothing of it was changed: "
            f"copy it here too, or export the table again. {beside.lost}".rstrip()
        ) from error


def _refuse_other(target: Path, name: str) -> None:
    """Raises SpecError where something has that name that is no table: nobody asked to replace it."""
    if not target.exists() or (target.is_file() and target.stat().st_size == 0):
        return
    if not target.is_file():
        raise SpecError(f"{target}: is there, and is no file; choose another name")
    try:
        ours = _is_table(_read(target), name)
    except PluginRefused:
        raise
    except SpecError:  # not readable, or longer than any table
        ours = False
    if not ours:
        raise SpecError(f"{target}: is there, and is no table of this format; choose another name, or remove it")


def _is_table(content: bytes, name: str) -> bool:
    written = FORMATS[name]
    if written.marked is not None:
        return written.marked(content)
    if written.parse is None:
        return False
    try:
        FORMATS.given(name, written.parse(content), LatencyTable)
    except PluginRefused:
        raise
    except SpecError:
        return False
    return True


def _free_for_ours(beside: Path, target: Path) -> Path:
    """The path itself.  Raises SpecError where a file of another kind has that name: nobody asked to replace it."""
    try:
        with beside.open("rb") as file:
            ours = header.begins(file.read(header.BEGINNING))
    except OSError:  # none, or one that can't be written either
        return beside
    if not ours:
        raise SpecError(
            f"{beside}: is there, and is none of ours; a {target.suffix} table needs that name: choose another for the table"
        )
    return beside
