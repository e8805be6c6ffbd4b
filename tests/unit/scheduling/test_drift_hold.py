"""Devices whose canary drifted."""

from __future__ import annotations

import pytest

from lutfarm.canary.epochs import epochs
from lutfarm.canary.history import Canary
from lutfarm.records.canary_round import CanaryRound
from lutfarm.records.device_state import DeviceRecord, step
from lutfarm.scheduling.drift_hold import drift_event

CALM = [100] * 20


def shown(*levels_ns: int) -> Canary:
    rounds = [CanaryRound(60.0 * at, level, idle=True) for at, level in enumerate(levels_ns)]
    return Canary("desk", "onnxruntime-cpu-t1-fp32", "b1-steady", rounds, epochs(rounds))


@pytest.mark.parametrize(
    ("levels_ns", "is_held"),
    [
        ([*CALM, *[140] * 4], True),
        ([*CALM, *[129] * 4], False),  # below the limit
        ([*CALM, 140, 140, 140, 101], False),  # one of the newest is where it was
        ([*CALM, *[140] * 3], False),  # too few
        ([*CALM, *[76, 60]], False),
        ([100] * 5 + [140] * 4, False),  # nothing is established yet
        ([], False),
    ],
)
def test_only_what_settled_beyond_the_limit_is_held(levels_ns: list[int], is_held: bool) -> None:
    assert (drift_event(shown(*levels_ns), 1.3) is not None) is is_held


def test_the_reason_says_what_was_seen_and_how_to_go_on() -> None:
    event = drift_event(shown(*CALM, *[140, 150, 145, 141]), 1.3)
    assert event is not None
    held = step(DeviceRecord("desk", "busy"), event, 5.0)
    assert held.state == "maintenance"
    for words in (
        "onnxruntime-cpu-t1-fp32",
        "1.40 times its reference of 100 ns",
        "4 rounds over 180 s",
        "lutfarm device release desk",
        "canary.hold_above is 1.3",
    ):
        assert words in held.reason
    assert step(held, type(event)("released"), 6.0).state == "ready"
