"""A cancel that comes before the runner has begun what it is to end."""

from __future__ import annotations

import json
import threading

import pytest

from lutfarm_agents.runner_agent import follow
from lutfarm_agents.testing import ReplayChannel
from lutfarm_agents.wire.round_log import RoundLog
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.round import Artifact, Limits, Round, Slicing

SAID = [
    {
        "type": "started",
        "environment": {"time_s": 1.0},
        "import_ns": 1,
        "canary_reference_ns": 70,
        "reference_provisional": True,
        "clock_step_ns": 1,
    },
    {"type": "done", "cancelled": True},
]


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_round_that_begins_after_its_cancel_is_ended_with_its_first_word(cancelled: bool) -> None:
    """The supervisor knew of no command to end when the cancel came, and forgot it."""
    channel = ReplayChannel([json.dumps(line) for line in SAID])
    ended = threading.Event()
    if cancelled:
        ended.set()
    round_ = Round(id="r", index=0, tasks=(), slicing=Slicing(), seed=0, canary=Artifact("1" * 64, 1, ".onnx"), limits=Limits())
    assert list(follow(RunnerSession(channel), {"seed": 0}, RoundLog(round_, [], 1.0), ended)) == []
    assert [json.loads(line)["type"] for line in channel.sent] == (["round", "cancel"] if cancelled else ["round"])
