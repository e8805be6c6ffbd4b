"""The canary's reference: how fast the fixed operator is on a device that nothing disturbs."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm.records.canary_round import CanaryRound

LEAST_ROUNDS = 16
LEAST_SPAN_S = 600.0  # where the machine was shown to be idle: it may still have another speed
HALF_HOUR_S = 1800.0
LEAST_HALF_HOURS = 8  # in which there were rounds, where that was not shown
OTHER_SPEED = 1.12  # the gate's ratio: what is further away is another speed
MODE_WIDTH = 1.06  # half of the gate's 1.12, so that a mode fits inside the gate
MODE_ROUNDS = 3
MODE_SHARE = 0.1
MISSED_ROUNDS, MISSED_SHARE = 2, 0.05  # half of a mode: nothing is claimed by them, only doubted


@dataclass(frozen=True, slots=True)
class CanaryReference:
    """`reference_ns` is None where no level repeats; `provisional` until it rests on enough rounds over enough time."""

    reference_ns: int | None = None
    provisional: bool = True


def canary_reference(rounds: Sequence[CanaryRound]) -> CanaryReference:
    """The lower mode of the canary's levels in rounds of one basis, in any order.

    A mode is a band of MODE_WIDTH that holds at least MODE_ROUNDS rounds and MODE_SHARE of all; the reference is the
    median of the lowest one.  The minimum would only ever ratchet down: one lucky level, and every later slice
    counts as disturbed.

    It is established by LEAST_ROUNDS rounds over LEAST_SPAN_S in which the machine was shown to be idle and which have this
    lower mode by themselves; or, where that could not be shown, by rounds in LEAST_HALF_HOURS different half hours.  Rounds that
    were shown to have company never count: who is always there looks like a slower machine.  Nor is it where the fastest
    readings of MISSED_ROUNDS rounds, and MISSED_SHARE of all, lie below OTHER_SPEED of it: the levels miss a faster speed.
    docs/simulation.md says how often that is right.
    """
    usable = sorted((one for one in rounds if one.level_ns > 0), key=lambda one: one.at_s)
    reference_ns = _lower_mode_ns(usable)
    if reference_ns is None:
        return CanaryReference()
    idle = [one for one in usable if one.idle]
    unknown = [one for one in usable if one.idle is not False]
    if _agrees(idle, reference_ns) and idle[-1].at_s - idle[0].at_s >= LEAST_SPAN_S:
        established = True
    else:
        established = _agrees(unknown, reference_ns) and len({one.at_s // HALF_HOUR_S for one in unknown}) >= LEAST_HALF_HOURS
    missed = sum(one.low_ns is not None and one.low_ns * OTHER_SPEED < reference_ns for one in usable)
    return CanaryReference(reference_ns, provisional=not established or missed >= max(MISSED_ROUNDS, MISSED_SHARE * len(usable)))


def _agrees(rounds: Sequence[CanaryRound], reference_ns: int) -> bool:
    """Whether so many rounds give this reference by themselves."""
    if len(rounds) < LEAST_ROUNDS:
        return False
    own_ns = _lower_mode_ns(rounds)
    return own_ns is not None and abs(math.log(own_ns / reference_ns)) <= math.log(MODE_WIDTH)


def _repeats(count: int) -> float:
    """How many of so many rounds make a speed that repeats."""
    return max(min(MODE_ROUNDS, count), MODE_SHARE * count)


def _lower_mode_ns(rounds: Sequence[CanaryRound]) -> int | None:
    ascending_ns = sorted(one.level_ns for one in rounds)
    enough = _repeats(len(ascending_ns))
    for start, lowest_ns in enumerate(ascending_ns):
        end = bisect_right(ascending_ns, lowest_ns * MODE_WIDTH)
        if end - start >= enough:
            return round(statistics.median(ascending_ns[start:end]))
    return None
