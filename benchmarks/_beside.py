"""Real neighbours of this machine: processes that come and go beside what is measured, and end by their own ids."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SCRIPT = Path(__file__).with_name("_neighbour.py")
LONGEST_S = 120.0  # of a neighbour that nobody ends

Work = Literal["compute", "memory"]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """One on each of `cpus`, there for `share` of the time; `works` in turn."""

    works: tuple[Work, ...]
    cpus: tuple[int, ...]
    share: float


@contextmanager
def beside(neighbours: Neighbours | None, *, seed: int) -> Iterator[None]:
    """With these neighbours; None: alone."""
    with ExitStack() as stack:
        if neighbours is not None:
            for number, cpu in enumerate(neighbours.cpus):
                work = neighbours.works[number % len(neighbours.works)]
                stack.enter_context(_one([work, str(cpu), str(seed + number), str(neighbours.share), str(LONGEST_S)]))
        yield


@contextmanager
def _one(arguments: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-I", str(SCRIPT), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{SCRIPT.name} did not start")
        yield
    finally:
        process.kill()
        process.communicate()
