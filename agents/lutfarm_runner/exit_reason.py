"""What the end of a process means."""

from __future__ import annotations

import signal
from typing import Tuple

from lutfarm_runner.wire import Tail, printable
from lutfarm_runner.workload_failure import OUT_OF_MEMORY

LIMITS = "loading may take limits.load_s and an iteration limits.iteration_s of the device's profile, which can be raised there"


def describe(code: int, tail: Tail, *, hung: bool) -> Tuple[str, str]:
    """Error code and detail for an exit code, negative for a signal; `hung`: we ended it, its time was up."""
    said = printable(tail.data)
    if hung:
        return "WorkloadTimeout", f"did not come back in time and was ended: {LIMITS}{_quoted(said)}"
    error, what = "WorkloadFailed", f"ended with exit status {code} and without a result"
    if code < 0:
        what = f"ended by {_name(-code)}"
    if -code == signal.SIGKILL:
        error, what = "OutOfMemory", "ended by SIGKILL, most likely by the kernel for want of memory"
    if any(sign in said.lower() for sign in OUT_OF_MEMORY):
        error = "OutOfMemory"
    return error, what + _quoted(said)


def _quoted(said: str) -> str:
    return f"; its last words: {said}" if said else ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
