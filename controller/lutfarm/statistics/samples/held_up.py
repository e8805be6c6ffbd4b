"""Processes that something held up, and processes that agree on nothing.  Pure.

What disturbs a process only ever makes it slower.  So where enough processes agree, one that took far longer was held up and
says nothing of the device; where too few do, there is no telling which of them is right.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

AGREE = 1.10  # the widest band in which processes agree: p90 of their spread is 3.2 %
FAR = 1.25  # what is so many times apart is no spread between good processes
LEAST_AGREEING = 3


def held_up(estimates_ns: Sequence[float]) -> frozenset[int]:
    """The positions of processes that are no witness: FAR or more above at least LEAST_AGREEING that agree, and fewer than those.

    Nothing may be faster by as much than what agrees: then it is the others that may have been held up.
    """
    ascending = sorted(estimates_ns)
    counts = [bisect_right(ascending, low * AGREE) - at for at, low in enumerate(ascending)]
    most = max(counts, default=0)
    if most < LEAST_AGREEING:
        return frozenset()
    first = counts.index(most)
    above = [at for at, estimate_ns in enumerate(estimates_ns) if estimate_ns >= FAR * ascending[first + most - 1]]
    if len(above) >= most or ascending[0] * FAR <= ascending[first]:
        return frozenset()
    return frozenset(above)


def disagree(estimates_ns: Sequence[float]) -> bool:
    """Whether processes differ by factors: an average of them is no estimate."""
    return len(estimates_ns) > 1 and max(estimates_ns) >= FAR * min(estimates_ns)
