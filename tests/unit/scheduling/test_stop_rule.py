"""Which jobs end by their intervals, and which have all of their rounds."""

from __future__ import annotations

import pytest

from lutfarm.scheduling.stop_rule import finished_rounds, stop_rule
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS
from lutfarm_jobs.spec import JobSpec, parse_job


def spec(*, composition: str = "isolated", **sampling: object) -> JobSpec:
    job = {
        "name": "j",
        "workloads": [{"space": "fbnet-224", "composition": composition}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}],
        "sampling": {"rounds": 9, **sampling},
    }
    return parse_job(job, source="job")


def test_a_job_ends_by_its_own_target() -> None:
    rule = stop_rule(spec(target_relative_interval=0.03))
    assert rule is not None
    assert (rule.relative_half_width, rule.confidence) == (0.03, 0.95)
    assert finished_rounds(spec()) == LEAST_ROUNDS


@pytest.mark.parametrize(
    "whole", [spec(stop="rounds"), spec(composition="in_network"), spec(sweep=True)], ids=["asked for", "in network", "swept"]
)
def test_a_sweep_has_all_of_its_rounds(whole: JobSpec) -> None:
    """What a process has in common is told from its networks, all of which each process should hold."""
    assert stop_rule(whole) is None
    assert finished_rounds(whole) == 9
