"""Model files go to a host in parts, while the pool does other things.  No Ray here."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutfarm.agent_pool.interface import Measuring, Probing
from lutfarm_jobs.errors import TransferFailed

PART_BYTES = 1 << 20  # what the host is asked next waits behind one part, on a slow link too


@dataclass(slots=True)
class Carrying:
    """An order of which its host may not see all files yet."""

    order: Probing | Measuring
    steps: Generator[Any, Any, None]  # each gives a reference to what the host has been asked, and is sent what it answered
    asked: Any = None  # the newest of them
    asked_s: float = 0.0


def carry(call: Callable[..., Any], models: Mapping[str, Path], seen: set[str]) -> Generator[Any, Any, None]:
    """Send what the host can't see, each file once; `seen` is what it can see, and grows.  Raises TransferFailed."""
    unknown = {sha256: path for sha256, path in models.items() if sha256 not in seen}
    if not unknown:
        return
    for sha256 in (yield call("missing", unknown)):
        for at, part, size_bytes in _parts(unknown[sha256]):
            yield call("receive", sha256, part, at, size_bytes)
    seen.update(unknown)


def _parts(path: Path) -> Generator[tuple[int, bytes, int]]:
    """Where each begins, its bytes, and how many all have."""
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            for at in range(0, max(1, size_bytes), PART_BYTES):
                yield at, file.read(min(PART_BYTES, size_bytes - at)), size_bytes
    except OSError as error:
        raise TransferFailed(f"{path} can't be read: {error}") from error
