"""Another program on a core, that comes and goes: python -I _neighbour.py compute|memory CPU SEED SHARE LONGEST_S.

It is there for SHARE of the time, in turns of 0.12 s on average; 1: without a pause.  It ends by itself after LONGEST_S, with its
parent, or when it is killed; numpy at one thread.
"""

# ruff: noqa: E402
from __future__ import annotations

import os
import random
import sys
import time

kind, cpu, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
share, longest_s = float(sys.argv[4]), float(sys.argv[5])
os.sched_setaffinity(0, {cpu})
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

TURN_S = 0.12  # here and away once, on average
STREAMED = 1 << 23  # of 8 bytes each, in both arrays: larger than a last-level cache of 64 MiB


def compute() -> object:
    """Products of matrices that lie in the first-level cache."""
    a = np.full((24, 24), 0.5)
    return [a @ a for _ in range(50)]


def streaming() -> object:
    """A piece of two large arrays is copied; the next call takes the next one."""
    global place
    place = (place + STEP) % STREAMED
    target[place : place + STEP] = source[place : place + STEP]
    return None


STEP = 1 << 16
place = 0
if kind == "memory":
    source, target = np.ones(STREAMED), np.zeros(STREAMED)


def main() -> None:
    """Here and away in turns, of random length."""
    random.seed(seed)
    work = {"compute": compute, "memory": streaming}[kind]
    parent, end_s = os.getppid(), time.monotonic() + longest_s
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while time.monotonic() < end_s and os.getppid() == parent:
        until_s = time.monotonic() + random.expovariate(1 / (share * TURN_S))
        while time.monotonic() < until_s:
            work()
        if share < 1:
            time.sleep(random.expovariate(1 / ((1 - share) * TURN_S)))


if __name__ == "__main__":
    main()
