"""The bundles of a home: `<name>.tar` and `<name>.json` beside it, where the name holds the tar's SHA-256."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lutfarm_agents.provisioning.bundle_layout import ARCHES, Bundle
from lutfarm_jobs.file_hash import file_sha256, is_sha256

FORMAT = 1
_RUNTIME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_BYTES = 1 << 20


def bundle_name(arch: str, runtime: str, sha256: str) -> str:
    """Without an ending."""
    return f"bundle-{arch}-{runtime}-{sha256}"


def manifest(bundle: Bundle, *, inputs_sha256: str, files: int) -> str:
    """The text of a bundle's manifest: as reproducible as the bundle."""
    document = {
        "format": FORMAT,
        "name": bundle.name,
        "arch": bundle.arch,
        "runtime": bundle.runtime,
        "sha256": bundle.sha256,
        "size_bytes": bundle.size_bytes,
        "files": files,
        "inputs_sha256": inputs_sha256,
        "versions": dict(sorted(bundle.versions.items())),
    }
    return json.dumps(document, indent=2) + "\n"


def read_manifest(path: Path) -> tuple[Bundle, str] | None:
    """The bundle beside a manifest and what it was made of; None for what is no whole bundle."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size <= _MOST_BYTES:
            return _checked(path, json.loads(path.read_text(encoding="utf-8")))
    return None


def _checked(path: Path, document: Any) -> tuple[Bundle, str] | None:
    tar = path.with_suffix(".tar")
    if not isinstance(document, dict):
        return None
    match cast(dict[str, Any], document):
        case {
            "format": 1,
            "arch": str(arch),
            "runtime": str(runtime),
            "sha256": str(sha256),
            "size_bytes": int(size_bytes),
            "inputs_sha256": str(inputs),
            "versions": {**versions},
        } if arch in ARCHES and _RUNTIME.fullmatch(runtime) and is_sha256(sha256) and _are_versions(versions):
            name = bundle_name(arch, runtime, sha256)
            if path.name == f"{name}.json" and tar.stat().st_size == size_bytes:
                return Bundle(name, sha256, arch, runtime, tar, size_bytes, cast(Mapping[str, str], versions)), inputs
        case _:
            pass
    return None


def _are_versions(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(text, str) and len(text) < 200 and text.isprintable() for pair in value.items() for text in pair)


def shelved(folder: Path) -> tuple[Bundle, ...]:
    """The whole bundles in a folder by name; an unfinished or damaged one is none.  The content is not read."""
    manifests = (read_manifest(path) for path in sorted(folder.glob("bundle-*.json")))
    return tuple(each[0] for each in manifests if each)


def find(folder: Path, arch: str, runtime: str, inputs_sha256: str) -> Bundle | None:
    """The newest that was made of these inputs and still has the content that its name says."""
    newest = sorted(folder.glob(f"bundle-{arch}-{runtime}-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest:
        read = read_manifest(path)
        if read and read[1] == inputs_sha256 and file_sha256(read[0].path) == read[0].sha256:
            return read[0]
    return None
