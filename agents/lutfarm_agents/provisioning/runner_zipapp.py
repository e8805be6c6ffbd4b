"""The runner as one file: a zipapp that is the same, byte by byte, wherever it is built."""

from __future__ import annotations

import hashlib
import io
import zipfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lutfarm_jobs.atomic_files import READABLE, replacing, sweep

PACKAGE = "lutfarm_runner"
STAMP = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip file can hold
MAIN = b"import sys\nfrom lutfarm_runner.__main__ import main\n\nsys.exit(main())\n"


def runner_zipapp(cache_dir: Path) -> tuple[Path, str]:
    """The runner's file in cache_dir, `runner-<sha256>.pyz`, and its SHA-256 in hex; built where absent."""
    content = pack(sources(resources.files(PACKAGE)))
    sha256 = hashlib.sha256(content).hexdigest()
    path = cache_dir / f"runner-{sha256}.pyz"
    if not path.is_file() or path.stat().st_size != len(content):
        cache_dir.mkdir(parents=True, exist_ok=True)
        sweep(cache_dir)
        with replacing(path, mode=READABLE) as file:  # another process may build it at this moment
            file.write(content)
    return path, sha256


def sources(folder: Traversable, prefix: str = f"{PACKAGE}/") -> dict[str, bytes]:
    """The .py files of a package by their name in the archive."""
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
            found |= sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found[prefix + entry.name] = entry.read_bytes()
    return found


def pack(files: dict[str, bytes]) -> bytes:
    """A zipapp of these files: sorted, without times, stored (deflate differs between zlib versions)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted({**files, "__main__.py": MAIN}.items()):
            entry = zipfile.ZipInfo(name, STAMP)
            entry.create_system = 3  # Unix, on whatever system it is built
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()
