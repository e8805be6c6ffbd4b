"""From tasks to commands, and from events to runs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from lutfarm_agents.conditions.surroundings import Moment
from lutfarm_agents.testing import slices
from lutfarm_agents.wire import commands
from lutfarm_agents.wire.events import DiedEvent, EndedEvent, LoadedEvent, SliceEvent, StartedEvent
from lutfarm_agents.wire.round_log import RoundLog
from lutfarm_jobs.measurement import Backend, Feed, Fill, InputShape, Measurement, Workload
from lutfarm_jobs.round import Artifact, Expected, Limits, Round, Slicing, Task
from lutfarm_jobs.run import Environment, Failure

CANARY = Artifact("c" * 64, 10, ".onnx")
PLAN = Slicing(passes=2)
BEFORE, AFTER = Environment(1.0, governor="performance"), Environment(2.0)


def task(name: str, **changes: object) -> Task:
    measurement = Measurement(Workload("operator", name), "desk", Backend("onnxruntime", threads=2))
    return replace(Task(measurement, Artifact(name[0] * 64, 10, ".onnx")), **changes)


def a_round(*names: str) -> Round:
    return Round("r" * 32, 3, tuple(task(name) for name in names), PLAN, 42, CANARY, 70_000, Limits())


def place(artifact: Artifact) -> str:
    return f"/d/{artifact.file_name}"


def log_of(*events: object) -> RoundLog:
    log = RoundLog(a_round("a", "b"), [{"runtime": "onnxruntime 1"}, {"runtime": "onnxruntime 1", "inputs": "ab"}], 100.0)
    for event in events:
        log.take(event)
    return log


STARTED = StartedEvent(BEFORE, 1, 70_000, False, 1)
SLICES = [SliceEvent(position, slice_) for position in (0, 1) for slice_ in slices(PLAN, 100_000)]
ENDED = EndedEvent(AFTER, 1 << 26, {1: 1}, {1: 2}, {"slices": 9, "import": 2})


def test_a_device_that_was_busy_does_not_warm_up_again() -> None:
    order = replace(a_round("a"), slicing=replace(PLAN, warm_up_ns=5_000))
    for idle, warm_up_ns in ((True, 5_000), (False, 0)):
        plan = commands.round_(order, cpus=[], place=place, idle=idle)["slicing"]
        assert isinstance(plan, dict)
        assert plan == {**asdict(order.slicing), "warm_up_ns": warm_up_ns}


def test_what_the_device_takes_stands_in_the_runs_beside_what_it_said() -> None:
    log = log_of(STARTED, *SLICES, ENDED)
    log.before, log.after = Moment(power_w=2.5), Moment(power_w=6.0)
    for run in log.runs(200.0):
        assert (run.before, run.after) == (replace(BEFORE, power_w=2.5), replace(AFTER, power_w=6.0))


def test_a_round_command_has_the_wires_fields() -> None:
    command = commands.round_(a_round("a", "b"), cpus=[3], place=place)
    assert set(command) == {"workloads", "slicing", "seed", "canary", "limits", "cpus"}
    assert command["canary"] == {"path": f"/d/{'c' * 64}.onnx", "runtime": "onnxruntime", "threads": 2, "reference_ns": 70_000}
    assert command["slicing"]["passes"] == 2
    assert [entry["id"] for entry in command["workloads"]] == [0, 1]
    assert json.loads(json.dumps(command))["cpus"] == [3]


def test_a_workload_names_its_shapes_and_what_it_should_put_out() -> None:
    given = task(
        "a",
        inputs=(InputShape("x", (1, 3, 8, 8), "float32"),),
        input_layout="nhwc",
        expected=Expected((0, 5), (0.5, -1.0), 2.0),
        iteration_ns=5,
        random=("Bernoulli",),
    )
    found = json.loads(json.dumps(commands.workload(given, 4, place)))
    assert found == {
        "id": 4,
        "path": f"/d/{'a' * 64}.onnx",
        "runtime": "onnxruntime",
        "threads": 2,
        "inputs": [{"name": "x", "shape": [1, 3, 8, 8], "dtype": "float32"}],
        "input_layout": "nhwc",
        "seed": 0,
        "expected": {"positions": [0, 5], "values": [0.5, -1.0], "largest": 2.0, "tolerance": 1e-4},
        "iteration_ns": 5,
        "fills": [],
        "values": None,
        "random": ["Bernoulli"],
    }


def test_a_workload_names_what_its_inputs_hold_and_the_file_that_some_of_it_lies_in() -> None:
    feeds = (Feed("sr", Fill("constant", (16000,)), "16000", given=True), Feed("x", Fill("file"), "x.npy", given=True))
    given = task("a", values=Artifact("b" * 64, 7, ".onnx"))
    given = replace(given, measurement=replace(given.measurement, workload=Workload("file", "m", feeds=feeds)))
    found = json.loads(json.dumps(commands.workload(given, 0, place)))
    assert found["fills"] == [
        {"name": "sr", "kind": "constant", "numbers": [16000]},
        {"name": "x", "kind": "file", "numbers": []},
    ]
    assert found["values"] == f"/d/{'b' * 64}.onnx"
    assert [artifact.sha256[0] for artifact in given.artifacts] == ["a", "b"]


def test_probe_batches_fit_one_line_and_lose_nothing() -> None:
    big = Expected(tuple(range(1024)), tuple(1 / (n + 3) for n in range(1024)), 1.0)
    tasks = [task(f"{n:064}", expected=big) for n in range(100)]
    batches = list(commands.probe_batches(tasks, place))
    assert len(batches) > 1
    assert [t for batch, _ in batches for t in batch] == tasks
    for batch, workloads in batches:
        assert [entry["id"] for entry in workloads] == list(range(len(batch)))
        assert len(json.dumps(workloads)) < 1 << 20


def test_one_workload_too_large_for_a_line_is_still_sent_alone() -> None:
    huge = task("a", expected=Expected(tuple(range(200_000)), (0.1,) * 200_000, 1.0))
    batches = list(commands.probe_batches([task("b"), huge, task("c")], place))
    assert [len(batch) for batch, _ in batches] == [1, 1, 1]


def test_a_round_that_ended_gives_complete_runs() -> None:
    log = log_of(STARTED, LoadedEvent(1, 11, 12), *SLICES, ENDED)
    one, two = log.runs(200.0)
    assert [run.status for run in (one, two)] == ["complete", "complete"]
    assert (two.load_ns, two.first_inference_ns, one.load_ns) == (11, 12, None)
    assert (one.slices_rejected, two.slices_rejected) == (0, 1)
    assert (one.slices_discarded, two.slices_discarded) == (0, 2)
    assert [run.clock_step_ns for run in (one, two)] == [1, 1]
    assert [run.fingerprint for run in (one, two)] == [{"runtime": "onnxruntime 1"}, {"runtime": "onnxruntime 1", "inputs": "ab"}]
    assert [(run.device, run.throttled, run.failure) for run in (one, two)] == [("desk", False, None)] * 2
    assert (one.before, one.after, one.peak_memory_bytes) == (BEFORE, AFTER, 1 << 26)
    assert (one.canary_reference_ns, one.reference_provisional) == (70_000, False)
    assert (one.round_id, one.round_index, one.started_s, one.ended_s) == ("r" * 32, 3, 100.0, 200.0)
    assert [s.pass_index for s in two.slices] == [0, 1]
    assert one.id != two.id
    assert log.spent_ns() == {"slices": 9, "import": 2}
    assert (log.arrived, log.total) == (4, 4)


def test_a_round_that_died_fails_one_and_truncates_the_others() -> None:
    log = log_of(STARTED, SLICES[0], SLICES[2], DiedEvent(1, "WorkloadFailed", "SIGSEGV", {"slices": 4}))
    one, two = log.runs(200.0)
    assert (one.status, one.failure, len(one.slices)) == ("truncated", None, 1)
    assert (two.status, two.failure, len(two.slices)) == ("failed", Failure("WorkloadFailed", "SIGSEGV"), 1)
    assert log.spent_ns() == {"slices": 4}


def test_a_round_that_died_for_no_ones_fault_truncates_all() -> None:
    runs = log_of(DiedEvent(None, "OutOfMemory", "SIGKILL", {})).runs(200.0)
    assert [(run.status, run.failure, run.slices) for run in runs] == [("truncated", None, ())] * 2
    assert all(run.reference_provisional and run.canary_reference_ns is None for run in runs)


@pytest.mark.parametrize(("events", "expected"), [((), []), ((STARTED,), []), ((STARTED, SLICES[2]), ["b"])])
def test_a_broken_link_gives_what_arrived(events: tuple[object, ...], expected: list[str]) -> None:
    runs = log_of(*events).runs(200.0)
    assert [run.key.split("/")[1].removeprefix("operator:") for run in runs] == expected
    assert all(run.status == "truncated" for run in runs)
