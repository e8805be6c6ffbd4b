"""Model files as a job names them, and what they take in words."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.models.info import ModelInput

MOST_LISTED = 16  # inputs that are named of one file


def named(patterns: Sequence[str], folder: Path, *, where: str) -> tuple[str, ...]:
    """The files that paths and globs stand for, as the job names them.  A path that is there is no glob, whatever is in it."""
    names: dict[str, None] = {}
    for pattern in patterns:
        literal = os.path.lexists(folder / pattern)
        matches = [pattern] if literal else sorted(glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True))
        if not matches:
            raise SpecError(f"{where}.models: {pattern!r} matches no file in {folder}; correct the path or glob")
        names |= dict.fromkeys(matches)
    for name in names:
        if not name.isascii() and any(0xD800 <= ord(c) < 0xE000 for c in name):
            raise SpecError(f"{where}.models: the name of {os.fsencode(name)!r} is no UTF-8; rename the file")
    return tuple(names)


def takes(inputs: Sequence[ModelInput]) -> str:
    """For example `x float32[1, 3, 224, 224], n int64[1]`."""
    listed = [f"{one.name} {one.text}" for one in inputs[:MOST_LISTED]]
    more = len(inputs) - MOST_LISTED
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")
