"""The runner as one file: a zipapp that is the same, byte by byte, wherever it is built from the same packages.

The backends of other packages' runtimes lie beside ours in it: installing one, or another version of it, gives the runner
another hash, and with it all that is measured from then on another fingerprint.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Mapping
from importlib import resources
from importlib.abc import InspectLoader
from importlib.resources.abc import Traversable
from pathlib import Path

from lutfarm_jobs.atomic_files import READABLE, replacing, sweep
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.runtimes import RUNTIMES

PACKAGE = "lutfarm_runner"
STAMP = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip file can hold
MAIN = b"import sys\nfrom lutfarm_runner.__main__ import main\n\nsys.exit(main())\n"


def runner_zipapp(cache_dir: Path) -> tuple[Path, str]:
    """The runner's file in cache_dir, `runner-<sha256>.pyz`, and its SHA-256 in hex; built where absent."""
    content = pack(with_backends(sources(resources.files(PACKAGE))))
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


def with_backends(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with the backend of each runtime that another package adds.

    One that can't be used is left out: `backend_source` refuses it where something is to be measured with it.
    """
    found = dict(files)
    for name, _ in RUNTIMES.usable():
        try:
            source = backend_source(name, files)
        except PluginRefused:
            continue
        if source is not None:
            found[f"{PACKAGE}/backends/{name}.py"] = source
    return found


def backend_source(name: str, files: Mapping[str, bytes] | None = None) -> bytes | None:
    """The backend of a runtime that another package adds; None for ours, and for native tools.

    `files`: of the runner itself.  Raises PluginRefused where it is no module of one file, or the runner has its name.
    """
    backend = RUNTIMES[name].backend
    if not backend or backend.startswith(f"{PACKAGE}."):
        return None
    own = sources(resources.files(PACKAGE)) if files is None else files
    if f"{PACKAGE}/backends/{name}.py" in own or f"{PACKAGE}/backends/{name}/__init__.py" in own:
        raise PluginRefused(f"{RUNTIMES.source(name)} adds a runtime whose name the runner has for something else")
    return _source(backend, name)


def _source(module: str, name: str) -> bytes:
    """A module's text.  The packages around it are imported, it is not: what it needs is on the device."""
    who = f"the backend of the runtime {name}, which {RUNTIMES.source(name)} adds,"
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        # A stranger's package is imported on the way there, and may raise anything.
        raise PluginRefused(f"{who} can't be found as {module}: {type(error).__name__}: {str(error)[:500]}") from error
    if spec is None or spec.origin is None or not isinstance(spec.loader, InspectLoader) or spec.submodule_search_locations:
        raise PluginRefused(f"{who} is no module of one file: {module}")
    source = spec.loader.get_source(module)
    if source is None:
        raise PluginRefused(f"{who} has no source: {module}")
    return source.encode()


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
