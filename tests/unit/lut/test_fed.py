"""What an entry says of the inputs that it was measured on."""

from __future__ import annotations

from dataclasses import replace

from lutfarm.lut import fed
from lutfarm.lut.schema.entry import Entry
from lutfarm_jobs.measurement import Backend, Feed, Fill, Measurement, Workload

RATE = Feed("rate", Fill("constant", (16000,)), "16000", decides=True)
X = Feed("x", Fill("normal"), "normal")


def measurement(*feeds: Feed, computes: bool = True, runtime: str = "onnxruntime") -> Measurement:
    return Measurement(Workload("file", "m.onnx@0", "a" * 64, feeds=feeds, computes=computes), "desk", Backend(runtime))  # type: ignore[arg-type]


def test_what_decides_stands_first_and_what_is_given_is_said() -> None:
    assert fed.inputs(measurement(X, RATE), by_tool=False) == "rate=16000 (assumed, decides what runs); x=normal"
    assert fed.inputs(measurement(X, replace(RATE, given=True)), by_tool=False) == "rate=16000 (given); x=normal"
    assert fed.inputs(Measurement(Workload("operator", "conv"), "desk", Backend("tflite")), by_tool=True) == ""


def test_a_thousand_inputs_are_cut_and_counted() -> None:
    many = [replace(RATE, name=f"input{number}") for number in range(1000)]
    assert len(fed.inputs(measurement(*many), by_tool=False)) <= fed.MOST_CHARACTERS
    assert fed.assumed(measurement(*many)).endswith("input9 and 990 more")


def test_flags_are_raised_by_what_decides_and_was_not_given() -> None:
    assert fed.raised(measurement(X)) == ()
    assert fed.raised(measurement(X, RATE)) == ("inputs_assumed",)
    assert fed.raised(measurement(X, replace(RATE, given=True))) == ()
    assert fed.raised(measurement(computes=False)) == ("nothing_computed",)


def test_a_native_tool_makes_up_its_inputs() -> None:
    of_tool = measurement(X, RATE, runtime="onnxruntime_perf_test")
    assert fed.inputs(of_tool, by_tool=True) == fed.BY_THE_TOOL
    assert fed.raised(of_tool) == ("inputs_assumed",)


def test_a_table_warns_once_of_each_file_and_names_its_inputs() -> None:
    entries = [
        Entry(
            key=f"k{device}",
            workload="file:m.onnx@0",
            device=device,
            backend="b",
            kind="measured",
            inputs_assumed="rate",
            flags=("converged", "inputs_assumed"),
        )
        for device in ("one", "two")
    ]
    entries.append(replace(entries[0], key="z", workload="file:c.onnx@1", flags=("nothing_computed",)))
    guessed, idle = fed.warnings(entries)
    assert guessed.count("m.onnx@0 (rate)") == 1
    assert "c.onnx@1" in idle
    assert fed.warnings([replace(entry, kind="failed") for entry in entries]) == []
    assert fed.warnings_before([measurement(X, RATE)])[0].count("m.onnx@0 (rate)") == 1
    assert fed.warnings_before([measurement(X)]) == []
