"""Runs the programs that a build needs, and turns their failures into ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lutfarm_jobs.errors import SpecError, StoreUnwritable, TransferFailed

PATIENCE_S = 1800.0                                # 60 MB over a line of 0.3 Mbit/s
OTHERWISE = "build the bundle on a Debian 12 host, or with the container recipe in deploy/bundle/"
_LAST_LINES = 12


def tool(name: str) -> str:
    """Where a program lies.  Raises SpecError, which says where else a bundle can be built."""
    found = shutil.which(name)
    if found is None:
        raise SpecError(f"there is no {name} on PATH: {OTHERWISE}")
    return found


def run(argv: Sequence[str], *, cwd: Path, what: str) -> str:
    """Run one program to its end; returns what it printed on standard output.

    Raises TransferFailed with the end of its messages, or StoreUnwritable where they say that the disk is full.
    """
    try:
        ended = subprocess.run(
            argv, cwd=cwd, env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TransferFailed(f"{what}: not done after {PATIENCE_S:.0f} s; see that the mirror answers, and run it again") from error
    if ended.returncode == 0:
        return ended.stdout.decode(errors="replace")
    said = "\n".join((ended.stdout + b"\n" + ended.stderr).decode(errors="replace").strip().splitlines()[-_LAST_LINES:])
    if "No space left on device" in said:
        raise StoreUnwritable(f"{what}: the disk is full at {cwd}: make room, or choose another --home; nothing was changed")
    raise TransferFailed(f"{what} failed with exit code {ended.returncode}: {said}"[:4000])
