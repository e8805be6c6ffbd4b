"""The canary's reference: how fast the fixed operator is on a device that nothing disturbs."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm.canary_round import CanaryRound

LEAST_ROUNDS = 16
LEAST_SPAN_S = 60.0
ONE_SPEED_SPAN_S = 600.0                           # where only one speed was seen, the other may last longer than that
OTHER_SPEED = 1.12                                 # the gate's ratio: what is further away is another speed
MODE_WIDTH = 1.06                                  # half of the gate's 1.12, so that a mode fits inside the gate
MODE_ROUNDS = 3
MODE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class CanaryReference:
    """`reference_ns` is None where no level repeats; `provisional` until it rests on enough rounds over enough time."""

    reference_ns: int | None = None
    provisional: bool = True


def canary_reference(rounds: Sequence[CanaryRound]) -> CanaryReference:
    """The lower mode of the canary's levels in rounds of one basis, in any order.

    A mode is a band of MODE_WIDTH that holds at least MODE_ROUNDS rounds and MODE_SHARE of all; the reference is the
    median of the lowest one.  The minimum would only ever ratchet down: one lucky level, and every later slice
    counts as disturbed.  It is established by LEAST_ROUNDS rounds over LEAST_SPAN_S where a second, slower speed was seen too,
    and over ONE_SPEED_SPAN_S where not: had the machine been slow for all of a minute, nothing would show it.
    docs/simulation.md says how often that is right.
    """
    usable = [one for one in rounds if one.level_ns > 0]
    reference_ns = _lower_mode_ns(sorted(one.level_ns for one in usable))
    if reference_ns is None or len(usable) < LEAST_ROUNDS:
        return CanaryReference(reference_ns, provisional=True)
    slower = sum(max(one.level_ns, one.high_ns or 0) > OTHER_SPEED * reference_ns for one in usable)
    two_speeds = slower >= _repeats(len(usable))
    span_s = max(one.at_s for one in usable) - min(one.at_s for one in usable)
    return CanaryReference(reference_ns, provisional=span_s < (LEAST_SPAN_S if two_speeds else ONE_SPEED_SPAN_S))


def _repeats(count: int) -> float:
    """How many of so many rounds make a speed that repeats."""
    return max(min(MODE_ROUNDS, count), MODE_SHARE * count)


def _lower_mode_ns(ascending_ns: Sequence[int]) -> int | None:
    enough = _repeats(len(ascending_ns))
    for start, lowest_ns in enumerate(ascending_ns):
        end = bisect_right(ascending_ns, lowest_ns * MODE_WIDTH)
        if end - start >= enough:
            return round(statistics.median(ascending_ns[start:end]))
    return None
