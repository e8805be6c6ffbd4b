"""What a workload can do to its process, and what the host is told of it."""

from __future__ import annotations

import pytest

FAST = {"memory_bytes": 1 << 28, "load_s": 10.0, "iteration_s": 4.0}

FAULTS = [
    ({"fault": "segv"}, "WorkloadFailed", "SIGSEGV"),
    ({"fault": "abort"}, "WorkloadFailed", "SIGABRT"),
    ({"fault": "exit"}, "WorkloadFailed", "exit status 3"),
    ({"fault": "kill"}, "OutOfMemory", "SIGKILL"),
    ({"fault": "memory"}, "OutOfMemory", ""),
    ({"fault": "raise"}, "WorkloadFailed", "running: ValueError: simulated failure"),
    ({"fault": "hang"}, "WorkloadTimeout", "in time"),
    ({"fault": "segv", "after": 0}, "WorkloadFailed", "SIGSEGV"),
    ({"fault": "hang", "after": 0}, "WorkloadTimeout", "in time"),
    ({"fault": "raise", "after": 0}, "WorkloadFailed", "loading: ValueError: simulated failure"),
]


@pytest.mark.parametrize(("model", "code", "detail"), FAULTS)
def test_probe_reports_a_fault_and_goes_on(start, bench, model, code, detail):
    events = start().ask("probe", **bench.probe(model, {}, limits=FAST))
    assert [event["type"] for event in events] == ["probed", "probed", "done"]
    assert events[0]["code"] == code
    assert detail in events[0]["detail"]
    assert events[1]["id"] == 1
    assert events[1]["iteration_ns"] > 0


@pytest.mark.parametrize(("model", "code", "detail"), [fault for fault in FAULTS if "after" not in fault[0]])
def test_round_dies_with_the_name_of_the_culprit_and_the_next_round_runs(start, bench, model, code, detail):
    session = start()
    limits = {**FAST, "iteration_s": 0.01}
    plan = {"passes": 500, "wait_ns": 0, "gate_ratio": 1e3}
    events = session.ask("round", **bench.round({}, {**model, "after": 200}, limits=limits, slicing=plan))
    died = events[-2]
    assert (died["type"], died["id"], died["code"]) == ("died", 1, code)
    assert detail in died["detail"]
    assert {event["id"] for event in events if event["type"] == "slice"} == {0, 1}
    assert sum(died["spent_ns"].values()) > 0
    after = session.ask("round", **bench.round({}, slicing={"gate_ratio": 1e3}))
    assert [event["type"] for event in after[-2:]] == ["ended", "done"]


@pytest.mark.parametrize("after", [0, 1])
def test_round_names_what_died_in_loading(start, bench, after):
    events = start().ask("round", **bench.round({}, {"fault": "segv", "after": after}))
    assert [event["type"] for event in events] == ["started", "loaded", "died", "done"]
    assert events[2]["id"] == 1


def test_a_broken_canary_is_nobodys_fault(start, bench):
    order = bench.round({})
    order["canary"]["path"] = bench.model(fault="segv", after=0)
    events = start().ask("round", **order)
    assert [(event["type"], event.get("id")) for event in events] == [("died", None), ("done", None)]


def test_native_and_python_prints_stay_off_the_wire(start, bench):
    session = start()
    events = session.ask("probe", **bench.probe({"fault": "print"}, {}))
    assert [(event["type"], event.get("id")) for event in events] == [("probed", 0), ("probed", 1), ("done", None)]
    events = session.ask("round", **bench.round({"fault": "print", "after": 3}, slicing={"gate_ratio": 1e3}))
    assert [event["type"] for event in events].count("done") == 1
    assert events[-2]["type"] == "ended"


def test_a_talkative_library_does_not_block_and_its_last_words_are_kept(start, bench):
    events = start().ask("probe", **bench.probe({"fault": "chatter"}))
    assert "last words" in events[0]["detail"]
    assert len(events[0]["detail"]) < 2200
    assert events[0]["detail"].isprintable()


@pytest.mark.parametrize(
    ("model", "expected", "detail"),
    [
        ({"fault": "unstable"}, None, "changes by"),
        ({"fault": "nan"}, {"positions": [0], "values": [1.0], "largest": 1.0, "tolerance": 0.1}, "NaN"),
        ({"values": [1.0, 2.0]}, {"positions": [1], "values": [2.5], "largest": 2.5, "tolerance": 0.1}, "0.2"),
        ({"values": [1.0]}, {"positions": [1], "values": [2.5], "largest": 2.5, "tolerance": 0.1}, "1 elements"),
    ],
)
def test_wrong_outputs_are_unstable(start, bench, model, expected, detail):
    order = bench.probe({})
    order["workloads"] = [bench.workload(0, path=bench.model(**model), expected=expected)]
    probed = start().ask("probe", **order)[0]
    assert probed["code"] == "Unstable"
    assert detail in probed["detail"]


def test_what_is_the_same_twice_but_for_nan_is_measured_and_said(start, bench):
    order = bench.probe({"fault": "nan", "values": [1.0, 2.0]}, {})
    broken, good, _done = start().ask("probe", **order)
    assert broken["notes"] == {"nan_outputs": "output 0: 2 of 2"}
    assert broken["iteration_ns"] > 0
    assert good["notes"] == {}


def test_a_state_that_can_be_put_back_is_no_instability(start, bench):
    counting, unsteady, _done = start().ask("probe", **bench.probe({"fault": "counts"}, {"fault": "unstable"}))
    assert "changes by" in counting["notes"]["stateful"]
    assert counting["iteration_ns"] > 0
    assert unsteady["code"] == "Unstable"


@pytest.mark.parametrize(
    ("fault", "random", "notes"),
    [
        ("unstable", ["RandomNormal", "Dropout"], {"nondeterministic": "RandomNormal, Dropout"}),
        ("unstable", ["Dropout"], {"nondeterministic": "Dropout"}),
        ("", ["RandomNormal"], {"nondeterministic": "RandomNormal"}),
        ("", ["Dropout"], {}),
    ],
)
def test_random_operators_are_named(start, bench, fault, random, notes):
    order = bench.probe({})
    order["workloads"] = [bench.workload(0, path=bench.model(fault=fault), random=random)]
    probed = start().ask("probe", **order)[0]
    assert (probed.get("code"), probed["notes"]) == (None, notes)


@pytest.mark.parametrize(("value", "expected", "agreement"), [(2.0, 2.0, 0.0), (2.0, 2.2, 0.1), (0.0, 0.0, 0.0)])
def test_agreement_is_relative_to_the_largest_reference_value(start, bench, value, expected, agreement):
    order = bench.probe({})
    reference = {"positions": [0], "values": [expected], "largest": 2.0, "tolerance": 0.2}
    order["workloads"] = [bench.workload(0, path=bench.model(values=[value]), expected=reference)]
    assert start().ask("probe", **order)[0]["agreement"] == pytest.approx(agreement)


def test_infinity_is_no_fault_where_the_reference_has_it(start, bench):
    order = bench.probe({})
    reference = {"positions": [0], "values": [float("nan")], "largest": 1.0, "tolerance": 0.2}
    order["workloads"] = [bench.workload(0, path=bench.model(fault="nan"), expected=reference)]
    assert start().ask("probe", **order)[0]["agreement"] == 0.0
