"""The supervisor: commands, refusals, cancel, and that nothing outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys

import pytest
from tests.runner.conftest import alive, of_type, wait_until

LONG = {"slicing": {"passes": 100_000, "gate_ratio": 1e3}}


def test_hello_describes_the_device(start, archive):
    hello = start(greet=False).receive()
    assert hello["type"] == "hello"
    assert hello["protocol"] == 1
    assert hello["runner_sha256"] == archive.stem.removeprefix("runner-")
    assert hello["cpus"] == sorted(os.sched_getaffinity(0))
    assert len(hello["machine_id"]) == 32
    assert hello["clock_resolution_ns"] >= 1
    assert hello["timer_pair_ns"] >= 0
    assert hello["word_bits"] == struct.calcsize("P") * 8
    assert hello["abi"]
    assert {"numpy", "onnxruntime", "ai-edge-litert"} <= set(hello["runtimes"])


BAD_WORKLOADS = [
    {"id": -1},
    {"id": True},
    {"path": 3},
    {"path": "a\0b"},
    {"runtime": "torch"},
    {"threads": 0},
    {"threads": 1.5},
    {"inputs": {}},
    {"inputs": [1]},
    {"inputs": [{"name": "x", "shape": [-1], "dtype": "float32"}]},
    {"input_layout": "nchw"},
    {"seed": 1 << 32},
    {"iteration_ns": 0},
    {"expected": []},
    {"expected": {"positions": [], "values": [], "largest": 1, "tolerance": 1}},
    {"expected": {"positions": [1], "values": ["x"], "largest": 1, "tolerance": 1}},
    {"expected": {"positions": [1], "values": [1], "largest": float("nan"), "tolerance": 1}},
]


@pytest.mark.parametrize("change", BAD_WORKLOADS)
def test_hostile_workloads_are_refused_and_the_session_goes_on(start, bench, change):
    session = start()
    order = bench.probe({})
    order["workloads"] = [bench.workload(0, **{key: value for key, value in change.items() if key != "id"})]
    order["workloads"][0] |= change
    refused, done = session.ask("probe", **order)
    assert (refused["type"], refused["code"], done["cancelled"]) == ("error", "SpecError", False)
    assert next(iter(change)) in refused["detail"] or "expected" in change or "inputs" in change
    assert of_type(session.ask("probe", **bench.probe({})), "probed")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("probe", {"workloads": []}),
        ("probe", {"workloads": "x"}),
        ("probe", {"limits": {}}),
        ("probe", {"limits": {"memory_bytes": 1, "load_s": float("nan"), "iteration_s": 1}}),
        ("probe", {"cpus": ["0"]}),
        ("probe", {"cpus": [60_000]}),
        ("round", {"slicing": {}}),
        ("round", {"seed": -1}),
        ("round", {"canary": None}),
        ("round", {"canary": {"path": "x", "runtime": "simulated", "threads": 2, "reference_ns": None}}),
    ],
)
def test_hostile_orders_are_refused(start, bench, kind, change):
    order = bench.probe({}) if kind == "probe" else bench.round({})
    refused, _done = start().ask(kind, **{**order, **change})
    assert (refused["type"], refused["code"]) == ("error", "SpecError")


def test_two_workloads_with_one_id_are_refused(start, bench):
    workload = bench.workload(0)
    refused, _done = start().ask("probe", **bench.probe({}, workloads=[workload, workload]))
    assert "same id" in refused["detail"]


@pytest.mark.parametrize("line", [b"garbage", b"[]", b"3", b'{"type": 3}', b'{"type": "dance"}', b"\xff\xfe", b"[" * 9999])
def test_lines_that_are_no_command_are_refused(start, bench, line):
    session = start()
    session.send_raw(line + b"\n")
    refused, done = session.until("done")
    assert (refused["code"], done["cancelled"]) == ("ProtocolMismatch", False)
    assert of_type(session.ask("probe", **bench.probe({})), "probed")


def test_an_endless_line_ends_the_session(start):
    session = start()
    with contextlib.suppress(BrokenPipeError):
        for _ in range(80):
            session.send_raw(b"x" * (1 << 20))
    assert session.until("done")[0]["code"] == "ProtocolMismatch"
    assert session.process.wait(10) == 0


def test_commands_wait_their_turn(start, bench):
    session = start()
    for _ in range(3):
        session.send("probe", **bench.probe({}))
    kinds = [event["type"] for _ in range(3) for event in session.until("done")]
    assert kinds == ["probed", "done"] * 3


def test_cancel_ends_the_round_and_its_processes(start, bench):
    session = start()
    session.send("round", **bench.round({}, {}, **LONG))
    session.until("slice")
    children = session.children()
    assert children
    session.send("cancel")
    assert session.until("done")[-1] == {"type": "done", "cancelled": True}
    assert not any(map(alive, children))
    assert session.ask("probe", **bench.probe({}))[-1]["cancelled"] is False


def test_cancel_without_a_command_is_no_error(start, bench):
    session = start()
    session.send("cancel")
    assert session.ask("probe", **bench.probe({}))[-1]["cancelled"] is False


def test_cancel_right_behind_its_command(start, bench):
    session = start()
    order = json.dumps({"type": "round", **bench.round({}, **LONG)})
    session.send_raw(f'{order}\n{{"type":"cancel"}}\n{{"type":"dance"}}\n'.encode())
    assert session.until("done")[-1]["cancelled"] is True
    assert session.until("done")[0]["code"] == "ProtocolMismatch"


@pytest.mark.parametrize("how", ["stop", "end of file", "SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("kind", ["round", "probe"])
def test_nothing_outlives_the_supervisor(start, bench, how, kind):
    session = start()
    if kind == "round":
        session.send("round", **bench.round({}, **LONG))
        session.until("slice")
    else:
        session.send("probe", **bench.probe({}, {"fault": "hang"}))
        session.until("probed")
        wait_until(lambda: len(session.children()) == 2)
    children = session.children()
    if how == "stop":
        session.send("stop")
    elif how == "end of file":
        session.process.stdin.close()
    else:
        session.process.send_signal(getattr(signal, how))
    code = session.process.wait(20)
    assert code == (-getattr(signal, how) if how.startswith("SIG") else 0)
    wait_until(lambda: not any(map(alive, children)))


def test_the_round_is_a_fresh_process_on_the_asked_core(start, bench):
    session = start()
    core = sorted(os.sched_getaffinity(0))[-1]
    seen = set()
    for _ in range(2):
        session.send("round", **bench.round({}, cpus=[core], **LONG))
        session.until("slice")
        [child] = session.children()
        seen.add(child)
        assert os.sched_getaffinity(child) == {core}
        others = os.sched_getaffinity(0) - {core}
        assert os.sched_getaffinity(session.process.pid) == (others or {core})
        session.send("cancel")
        session.until("done")
    assert len(seen) == 2
    assert os.sched_getaffinity(session.process.pid) == os.sched_getaffinity(0)


def test_a_beat_comes_when_nothing_else_does(start):
    session = start()
    assert session.receive() == {"type": "beat"}


def test_an_unknown_argument_says_how_to_use_it(archive):
    ended = subprocess.run([sys.executable, "-I", str(archive), "dance"], capture_output=True, check=False)
    assert ended.returncode == 2
    assert b"usage" in ended.stderr


def test_a_round_warms_up_before_its_first_slice(start, bench):
    session = start()
    events = session.ask("round", **bench.round({}, slicing={"warm_up_ns": 40_000_000}))
    (ended,) = of_type(events, "ended")
    assert ended["spent_ns"]["warmup"] >= 40_000_000
    refused, _ = session.ask("round", **bench.round({}, slicing={"warm_up_ns": -1}))
    assert refused["code"] == "SpecError"
    assert "warm_up_ns" in refused["detail"]
