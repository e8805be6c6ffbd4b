"""Files that can't be used fail on a device without its being asked; what was noted of others is told at a job's end."""

from __future__ import annotations

from dataclasses import replace

from tests.schedule_kit import after, begin

from lutfarm.agent_pool.interface import Opened, Probed
from lutfarm.cli.terminal.ending import noted
from lutfarm.execution.refused_models import refusals
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.run import Probe

BAD = Workload("file", "bad.onnx@ab", "ab" * 32, refused="bad.onnx: is empty")
GOOD = Workload("file", "good.onnx@cd", "cd" * 32)
PLAN = tuple(Measurement(workload, unit, Backend("onnxruntime")) for unit in "ab" for workload in (BAD, GOOD))


def test_only_what_was_refused_fails_and_only_on_the_device_that_opened() -> None:
    (told,) = refusals(PLAN, Opened("o", "a", HELLO), "", 7.0)
    assert (told.probe.key, told.probe.device, told.probe.probed_s) == (PLAN[0].key, "a", 7.0)
    assert told.probe.failure is not None
    assert (told.probe.failure.code, told.probe.failure.detail) == ("WorkloadFailed", "bad.onnx: is empty")
    state = after(begin(PLAN, ["a", "b"], rounds=3), [told], 7.0)
    assert [state.wants(m.key) for m in PLAN] == [False, True, True, True]


def test_a_failure_holds_for_the_devices_software_alone() -> None:
    (one,) = refusals(PLAN[:1], Opened("o", "a", HELLO), "", 7.0)
    (other,) = refusals(PLAN[:1], Opened("o", "a", replace(HELLO, python="CPython 3.99")), "", 7.0)
    assert one.probe.fingerprint != other.probe.fingerprint


def test_what_was_noted_is_told_by_flag() -> None:
    state = begin(PLAN, ["a", "b"], rounds=3)
    probe = Probe(PLAN[1].key, "a", {}, 1.0, iteration_ns=5, notes={"nan_outputs": "output 0: 2 of 2"})
    assert noted(after(state, [Probed("o", probe)], 1.0).job) == {"nan_outputs": {PLAN[1].key: "output 0: 2 of 2"}}
    assert noted(state.job) == {}
