"""Retry as a value: how often, how long to wait, and when a device is given up.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm_jobs.errors import Retry, from_wire

MOST_ATTEMPTS = 5
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What follows from an error: wait so long and try the same device again, or quarantine it, or stop the job."""

    action: Retry
    delay_s: float = 0.0


def judge(code: str, detail: str, *, failures_in_a_row: int) -> RetryDecision:
    """The verdict on the n-th failure in a row (1 is the first) of one device.

    A link that fails MOST_ATTEMPTS times in a row is a device error: somebody has to look.
    """
    action = from_wire(code, detail).retry
    if action is Retry.SAME_DEVICE and failures_in_a_row >= MOST_ATTEMPTS:
        return RetryDecision(Retry.OTHER_DEVICE)
    if action is Retry.SAME_DEVICE:
        return RetryDecision(action, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (failures_in_a_row - 1)))
    return RetryDecision(action)
