"""A farm in one file, and back: its database, its ADB keys, jobs that were sent to it, a person's profiles.

A tar file of version 1: `manifest.json`, then what it names with size and SHA-256, each a plain file.  It may come from anywhere
when it is read: only names of a known shape are taken, nothing is followed, and nothing is written before all of it was checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from lutfarm.home import Home
from lutfarm.store.open import open_store
from lutfarm_jobs.atomic_files import replacing
from lutfarm_jobs.errors import SpecError, StoreUnwritable
from lutfarm_profiles.loader import PROFILE_LIMIT_BYTES, user_folder

FORMAT = 1
MANIFEST, DATABASE = "manifest.json", "farm.db"
LARGEST_MANIFEST_BYTES = 64 << 20
MOST_FILES = 200_000
CHUNK_BYTES = 1 << 20
_PART = r"(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]{1,255}"
NAMES = re.compile(rf"{DATABASE}|keys/{_PART}|profiles/[\w.-]{{1,100}}\.yaml|submitted(?:/{_PART}){{1,40}}")


@dataclass(frozen=True, slots=True)
class Restored:
    """What came from an archive."""

    files: int
    profiles: tuple[str, ...]  # that were put among the user's own
    profiles_kept: tuple[str, ...]  # of which the user has another one, which stays


def back_up(home: Home, file: Path) -> int:
    """Write the farm of a home to a new file that only its owner may read, while others go on; how many files it holds.

    Raises SpecError, StoreError.
    """
    if file.exists():
        raise SpecError(f"{file} is there already: name another file")
    try:
        with tempfile.TemporaryDirectory(prefix=".lutfarm-backup-", dir=file.absolute().parent) as folder:
            database = Path(folder) / DATABASE
            with open_store(home.path, to_read=True) as store:
                store.write_copy(database)
            files = {DATABASE: database, **dict(_beside(home))}
            with replacing(file, mode=0o600) as target, tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _write(tar, files, home)
        return len(files)
    except OSError as error:
        raise StoreUnwritable(f"{file}: {error.strerror or error}; make room, make it writable, or name another place") from error


def restore(file: Path, home: Home) -> Restored:
    """Make a home of such a file; there must be none, or an empty folder.  All of it or nothing.  Raises SpecError, StoreError.

    Where LUTFARM_STORE names a database the rows go there; it must be empty.
    """
    if home.path.is_dir() and any(home.path.iterdir()):
        raise SpecError(f"{home.path} is not empty: a farm is restored into an empty home alone; name another one with --home")
    try:
        home.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".lutfarm-restore-", dir=home.path.parent) as folder:
            made, unpacked = Home(Path(folder) / "home"), Path(folder) / "unpacked"
            made.path.mkdir(mode=0o700)
            old, names = _unpack(file, unpacked)
            _place(unpacked, names, made)
            with open_store(made.path) as store:
                store.take_copy(unpacked / DATABASE, settled=(old, str(home.path)))
            profiles = _profiles(unpacked)
            made.path.rename(home.path)
    except OSError as error:
        raise StoreUnwritable(f"{home.path}: {error.strerror or error}; make room, or name another place with --home") from error
    return Restored(len(names), *profiles)


def _beside(home: Home) -> Iterator[tuple[str, Path]]:
    """What a farm needs beside its database, by its name in the archive."""
    folders = {"keys": home.agents / "keys", "profiles": user_folder(), "submitted": home.submitted}
    for kind, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            name = f"{kind}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not path.is_symlink() and NAMES.fullmatch(name):
                yield name, path


def _write(tar: tarfile.TarFile, files: Mapping[str, Path], home: Home) -> None:
    known = {name: _measured(path) for name, path in files.items()}
    manifest = {"format": FORMAT, "home": str(home.path), "files": known}
    content = json.dumps(manifest, indent=1).encode()
    tar.addfile(_entry(MANIFEST, len(content)), io.BytesIO(content))
    for name, path in files.items():
        with path.open("rb") as source:
            tar.addfile(_entry(name, int(known[name]["size"])), source)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, 0o600
    return found


def _measured(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"size": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _unpack(file: Path, folder: Path) -> tuple[str, list[str]]:
    """The home that it was made of, and the names of what is now in the folder."""
    with _opened(file) as tar:
        first = tar.next()
        if first is None or first.name != MANIFEST or not _plain(first) or first.size > LARGEST_MANIFEST_BYTES:
            raise SpecError(f"{file} is no backup of a farm: it should be a file that lutfarm db backup wrote")
        old, wanted = _manifest(file, _content(tar, first).read())
        missing = dict(wanted)
        while (entry := tar.next()) is not None:
            said = missing.pop(entry.name, None)
            if said is None or not _plain(entry) or entry.size != said["size"]:
                raise SpecError(f"{file}: its entry {entry.name[:100]!r} is not what its manifest says: it is not used")
            path = folder / entry.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("xb") as target:
                shutil.copyfileobj(_content(tar, entry), target, CHUNK_BYTES)
            path.chmod(0o600)
            if _measured(path) != said:
                raise SpecError(f"{file}: its entry {entry.name[:100]!r} does not have its checksum; take another copy")
    if missing:
        raise SpecError(f"{file}: it ends before {next(iter(missing))[:100]!r}; take another copy")
    return old, list(wanted)


@contextmanager
def _opened(file: Path) -> Generator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as tar:
            yield tar
    except FileNotFoundError as error:
        raise SpecError(f"{file} is not there") from error
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise SpecError(f"{file} can't be read as a backup of a farm: {error}; take another copy") from error


def _plain(entry: tarfile.TarInfo) -> bool:
    """No link, no device, no folder, and no file with holes, which would be larger than the archive."""
    return entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.issparse()


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, tar.extractfile(entry))


def _manifest(file: Path, content: bytes) -> tuple[str, dict[str, dict[str, Any]]]:
    """The home, and by name the size and checksum of each file."""
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise SpecError(f"{file}: a backup of version {str(found['format'])[:20]}; this lutfarm reads version {FORMAT}")
        old, files = found["home"], found["files"]
        sound = isinstance(old, str) and isinstance(files, dict) and DATABASE in files and len(cast(Any, files)) <= MOST_FILES
        for name, said in cast(dict[str, dict[str, Any]], files).items() if sound else ():
            if not NAMES.fullmatch(name):
                raise SpecError(f"{file}: it holds {name[:100]!r}, which no farm has: it is not used")
            sound &= set(said) == {"size", "sha256"} and isinstance(said["size"], int) and isinstance(said["sha256"], str)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpecError(f"{file}: its manifest can't be read: {error!r}; take another copy") from error
    if not sound:
        raise SpecError(f"{file}: its manifest does not say what a farm's does; take another copy")
    return cast(str, old), cast(dict[str, dict[str, Any]], files)


def _place(unpacked: Path, names: list[str], home: Home) -> None:
    """Keys and jobs go where this home has them."""
    folders = {"keys": home.agents / "keys", "submitted": home.submitted}
    for name in names:
        kind, _, rest = name.partition("/")
        if kind in folders:
            target = folders[kind] / rest
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            (unpacked / name).rename(target)


def _profiles(unpacked: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put where a person's own are; one that is there already stays."""
    new: list[str] = []
    kept: list[str] = []
    for path in sorted((unpacked / "profiles").glob("*.yaml")):
        target = user_folder() / path.name
        if path.stat().st_size > PROFILE_LIMIT_BYTES:
            raise SpecError(f"the profile {path.stem} in it is larger than {PROFILE_LIMIT_BYTES} bytes: it is not used")
        if target.exists():
            if target.read_bytes() != path.read_bytes():
                kept.append(path.stem)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            file.write(path.read_bytes())
        new.append(path.stem)
    return tuple(new), tuple(kept)
