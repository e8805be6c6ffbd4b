"""The command line as a user types it: the installed `lutfarm`, a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Lutfarm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lutfarm(tmp_path: Path) -> Lutfarm:
    """Run `lutfarm ARGS` in tmp_path with a home of its own; no terminal, no input."""
    command = Path(sys.executable).with_name("lutfarm")

    def call(*args: str | Path, timeout_s: float = 240.0, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *args],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home"), "COLUMNS": "200"} | environment,
        )

    return call


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a job file."""

    def write(text: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text)
        return path

    return write
