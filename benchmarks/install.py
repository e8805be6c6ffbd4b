"""What an installation from the locks takes: packages, disk, processor and wall time, each into a fresh environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from _table import Report, options

ROOT = Path(__file__).parents[1]
LOCKS = {"what lutfarm runs with": "requirements.lock", "and what develops it": "requirements-dev.lock"}
BLOCK_BYTES = 512


def main() -> None:
    """Print one row a lock.  Quick: the first alone."""
    chosen = options(__doc__)
    report = Report(
        "installations from the locks, each into a fresh environment",
        ("installed", "lock", "packages", "MB on disk", "processor s", "wall s"),
    )
    for what, name in list(LOCKS.items())[: 1 if chosen.quick else None]:
        with tempfile.TemporaryDirectory() as folder:
            packages = len(set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / name).read_text(), re.MULTILINE)))
            report.rows.append((what, name, packages, *_installed(Path(folder) / "venv", ROOT / name)))
    report.notes.append("wall time is that of the network, or of pip's cache, and of what else runs; disk as du counts it")
    report.show(chosen)


def _installed(folder: Path, lock: Path) -> tuple[int, float, float]:
    """Megabytes, processor and wall seconds of one installation."""
    began, before = time.monotonic(), getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, "--require-hashes", "--requirement", lock], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall_s = time.monotonic() - began
    size_bytes = sum(BLOCK_BYTES * os.lstat(path).st_blocks for path in folder.rglob("*"))
    return round(size_bytes / 2**20), round(spent_s, 1), round(wall_s, 1)


if __name__ == "__main__":
    main()
