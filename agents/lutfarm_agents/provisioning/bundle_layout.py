"""A bundle: Python and an official runtime in one folder, for devices that have neither.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lutfarm_jobs.errors import SpecError
from lutfarm_runner.child_process import PYTHON_ARGV

PYTHON = "usr/bin/python3.11"
# The loader takes `:` and `;` as ends of a folder's name and expands `$ORIGIN`; NUL and newline pass no command line.
_NEVER_IN_A_ROOT = ":;$\0\n"


@dataclass(frozen=True, slots=True)
class Arch:
    """A processor architecture: what Debian, ELF files and wheels call it."""

    name: str  # Debian's, such as arm64
    machine: str  # what `uname -m` says there
    triplet: str  # the folder of its libraries
    loader: str  # the file that starts its programs
    elf_machine: int  # e_machine of the ELF header

    @property
    def libraries(self) -> str:
        """The bundle's one folder of shared libraries, relative to its root."""
        return f"lib/{self.triplet}"


ARCHES: Mapping[str, Arch] = {
    "arm64": Arch("arm64", "aarch64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1", 183),
    "amd64": Arch("amd64", "x86_64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2", 62),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on this host: a plain tar file, named by the SHA-256 of its content."""

    name: str
    sha256: str
    arch: str
    runtime: str
    path: Path
    size_bytes: int
    versions: Mapping[str, str]  # Debian packages and distributions

    @property
    def folder(self) -> str:
        """What to call the folder on a device into which it is unpacked: another content is another folder."""
        return f"bundle-{self.sha256}"


def arch_named(name: str) -> Arch:
    """The architecture of a Debian name.  Raises SpecError, which lists those that there are."""
    found = ARCHES.get(name)
    if found is None:
        known = " or ".join(ARCHES)
        raise SpecError(f"no bundle for {name[:40]!r}: choose {known}; neither runtime publishes Python 3.11 wheels for others")
    return found


def arch_of(machine: str) -> Arch | None:
    """The architecture of what `uname -m` says, or None where there is no bundle for it."""
    return next((arch for arch in ARCHES.values() if arch.machine == machine), None)


def launch(root: str, arch: Arch) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """How to start the Python of a bundle that is unpacked in `root`, an absolute path on the device.

    Returns the words before Python's own arguments, and the environment: `[*words, "-I", "runner.pyz", "supervise"]`.
    Python finds its library by its own absolute path, so PYTHONHOME, which `-I` ignores, is not needed.
    The kernel is given the bundle's loader, since the one that the executable names is not on the device; a child
    can't see that in sys.executable, and is told in the environment.  Raises SpecError for a root that no loader takes.
    """
    if not root.startswith("/") or any(character in root for character in _NEVER_IN_A_ROOT):
        raise SpecError(f"a bundle can't be started in {root[:200]!r}: it takes an absolute path without : ; $ and newlines")
    top = root.rstrip("/")
    libraries = f"{top}/{arch.libraries}"
    words = (f"{libraries}/{arch.loader}", "--inhibit-cache", "--library-path", libraries, f"{top}/{PYTHON}")
    # What is preloaded for the device's own programs, and its locales, belong to another C library.
    return words, {PYTHON_ARGV: json.dumps(words), "LD_PRELOAD": "", "LC_ALL": "C"}
