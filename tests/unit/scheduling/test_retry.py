"""Retry as a value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.retry import FIRST_DELAY_S, LONGEST_DELAY_S, MOST_ATTEMPTS, RetryDecision, judge, killed_once
from lutfarm_jobs.errors import Retry
from lutfarm_jobs.run import Failure, Probe, Run


@pytest.mark.parametrize("code", ["LinkLost", "ConnectFailed", "TransferFailed", "ReplyTimeout"])
def test_a_link_error_is_tried_again_on_the_same_device_with_growing_delays(code: str) -> None:
    verdicts = [judge(code, "", failures_in_a_row=n) for n in range(1, MOST_ATTEMPTS)]
    assert {verdict.action for verdict in verdicts} == {Retry.SAME_DEVICE}
    delays = [verdict.delay_s for verdict in verdicts]
    assert delays == [FIRST_DELAY_S * factor for factor in (1, 2, 4, 8)]
    assert max(delays) <= LONGEST_DELAY_S


def test_a_link_that_never_works_quarantines_the_device() -> None:
    for failures in (MOST_ATTEMPTS, MOST_ATTEMPTS + 1):
        assert judge("LinkLost", "", failures_in_a_row=failures) == RetryDecision(Retry.OTHER_DEVICE, 0.0)


@pytest.mark.parametrize("code", ["NotReady", "ProtocolMismatch", "DeviceLost", "PluginRefused"])
def test_a_device_error_quarantines_at_once(code: str) -> None:
    assert judge(code, "", failures_in_a_row=1) == RetryDecision(Retry.OTHER_DEVICE, 0.0)


@pytest.mark.parametrize("code", ["SpecError", "StoreError", "RunnerBug", "no such code"])
def test_what_no_retry_can_mend_stops_the_job(code: str) -> None:
    assert judge(code, "", failures_in_a_row=1) == RetryDecision(Retry.NEVER, 0.0)


PROBED = MeasurementProgress(probe=Probe("k", "d", {}, 0.0))


@pytest.mark.parametrize(
    ("code", "progress", "again"),
    [
        ("OutOfMemory", PROBED, True),
        ("OutOfMemory", replace(PROBED, truncated=1), False),  # once
        ("OutOfMemory", MeasurementProgress(), False),  # nothing has shown that there is enough memory
        ("OutOfMemory", PROBED.with_probe(Probe("k", "d", {}, 0.0, Failure("OutOfMemory", "40 GB"))), False),
        ("WorkloadFailed", PROBED, False),
    ],
)
def test_a_process_that_was_killed_once_is_no_failure_of_what_ran_in_it(
    code: str, progress: MeasurementProgress, again: bool
) -> None:
    run = Run("r", "k", "d", "o", 0, "failed", 0.0, 1.0, {}, failure=Failure(code, "ended by SIGKILL"))
    assert killed_once(run, progress) is again


def test_a_run_that_did_not_fail_was_not_killed() -> None:
    assert not killed_once(Run("r", "k", "d", "o", 0, "truncated", 0.0, 1.0, {}), PROBED)
