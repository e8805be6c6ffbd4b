"""The canary's reference: how fast the fixed operator is on a device that nothing disturbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ROUNDS = 4
LEAST_SPAN_S = 60.0
MODE_WIDTH = 1.06                                  # half of the gate's 1.12, so that a mode fits inside the gate
MODE_ROUNDS = 3
MODE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class CanaryReference:
    """`reference_ns` is None where no level repeats; `provisional` until it rests on enough rounds over enough time."""

    reference_ns: int | None
    provisional: bool


def canary_reference(levels: Sequence[tuple[float, int]]) -> CanaryReference:
    """The lower mode of the canary levels of rounds: (Unix time in s, level in ns), in any order.

    A mode is a band of MODE_WIDTH that holds at least MODE_ROUNDS rounds and MODE_SHARE of all; the reference is the
    median of the lowest one.  The minimum would only ever ratchet down: one lucky level, and every later slice
    counts as disturbed.  It is provisional below LEAST_ROUNDS rounds or LEAST_SPAN_S from the first to the last.
    """
    usable = [(at_s, level_ns) for at_s, level_ns in levels if level_ns > 0]
    if not usable:
        return CanaryReference(None, provisional=True)
    reference_ns = _lower_mode_ns(np.sort(np.array([level_ns for _, level_ns in usable], dtype=np.float64)))
    times_s = [at_s for at_s, _ in usable]
    established = len(usable) >= LEAST_ROUNDS and max(times_s) - min(times_s) >= LEAST_SPAN_S
    return CanaryReference(reference_ns, provisional=reference_ns is None or not established)


def _lower_mode_ns(ascending_ns: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int | None:
    ends = np.searchsorted(ascending_ns, ascending_ns * MODE_WIDTH, side="right")
    support = ends - np.arange(len(ascending_ns))
    enough = np.flatnonzero(support >= max(min(MODE_ROUNDS, len(ascending_ns)), MODE_SHARE * len(ascending_ns)))
    if not len(enough):
        return None
    start = int(enough[0])
    return round(float(np.median(ascending_ns[start : ends[start]])))
