"""Retry as a value: how often, how long to wait, and when a device is given up.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm_jobs.errors import OutOfMemory, Retry, from_wire
from lutfarm_jobs.run import Run

MOST_ATTEMPTS = 5
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What follows from an error: wait so long and try the same device again, or quarantine it, or stop the job."""

    action: Retry
    delay_s: float = 0.0


def killed_once(run: Run, progress: MeasurementProgress) -> bool:
    """Whether a run that failed for want of memory says too little: its workload is measured once more.

    A process that was killed, by the kernel or by anybody, looks alike; and what the workload's own probe had, a round of
    several may lack.  The second time in a sitting it has failed.
    """
    lacked = run.failure is not None and run.failure.code == OutOfMemory.__name__
    passed = progress.probe is not None and progress.probe.failure is None
    return lacked and passed and not progress.truncated


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
