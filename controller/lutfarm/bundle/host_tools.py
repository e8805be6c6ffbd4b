"""Runs the programs that a build needs, and turns their failures into ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lutfarm_jobs.errors import SpecError, StoreUnwritable, TransferFailed

PATIENCE_S = 1800.0  # 60 MB over a line of 0.3 Mbit/s
OTHERWISE = "build the bundle on a Debian 12 host, or with the container recipe in deploy/bundle/"
LEAST_FREE_BYTES = 1 << 20
_LOOK_EVERY_S = 2.0
_LAST_LINES = 12


def tool(name: str) -> str:
    """Where a program lies.  Raises SpecError, which says where else a bundle can be built."""
    path = shutil.which(name)
    if path is None:
        raise SpecError(f"there is no {name} on PATH: {OTHERWISE}")
    return path


def check_space(folder: Path, wanted_bytes: int) -> None:
    """Raises StoreUnwritable where the file system has less room for this user."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < wanted_bytes:
        raise StoreUnwritable(
            f"{folder}: {free_bytes / 1e6:.0f} MB are free, {wanted_bytes / 1e6:.0f} MB are needed: "
            "make room, or choose another --home; nothing was changed"
        )


def run(argv: Sequence[str], *, cwd: Path, what: str, patience_s: float = PATIENCE_S) -> str:
    """Run one program to its end; returns what it printed on standard output.

    Raises TransferFailed with the end of its messages, or StoreUnwritable where the disk is full meanwhile.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    with subprocess.Popen(  # noqa: S603  a list of words; no shell reads it
        argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            out, err = _watch(process, cwd, what, time.monotonic() + patience_s)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return out.decode(errors="replace")
    said = "\n".join((out + b"\n" + err).decode(errors="replace").strip().splitlines()[-_LAST_LINES:])
    if "No space left on device" in said:
        raise StoreUnwritable(f"{what}: the disk is full at {cwd}: make room, or choose another --home; nothing was changed")
    raise TransferFailed(f"{what} failed with exit code {process.returncode}: {said}"[:4000])


def _watch(process: subprocess.Popen[bytes], cwd: Path, what: str, end_s: float) -> tuple[bytes, bytes]:
    """Wait for its end.  apt-get update hangs for ever where the disk gets full, so that is looked at too."""
    while True:
        try:
            return process.communicate(timeout=_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            check_space(cwd, LEAST_FREE_BYTES)
        if time.monotonic() > end_s:
            raise TransferFailed(f"{what}: not done in time; see that the mirror answers, and run it again")
