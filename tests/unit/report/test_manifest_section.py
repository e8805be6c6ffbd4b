"""The head of a report: what the table is of, and how its predictions are made."""

from __future__ import annotations

import pytest
from tests.report_kit import ORT, TFLITE, UNIT, manifest

from lutfarm.lut.schema.manifest import TableBackend, TableDevice
from lutfarm.report.manifest_section import COMPOSITIONS, LONGEST, composition, facts


def test_facts_name_device_backend_job_and_both_hashes() -> None:
    found = dict(facts(manifest(), "cd" * 32))

    assert found[f"device {UNIT}"] == "A Processor @ 2.60GHz, x86_64, 2 cores, 24 GiB"
    assert found[f"system of {UNIT}"] == "Linux 6.1.0, CPython 3.11.7, governor not readable"
    assert found[f"call path of {UNIT}, not subtracted"] == f"3.200 µs ({ORT}), timer 75.00 ns"
    assert found[f"backend {ORT}"] == "onnxruntime 1.30.0, cpu, 1 thread, fp32"
    assert found["table made"] == "2025-11-23 23:20:00 UTC"
    assert found["protocol"] == "12 passes a round, slices of 400.0 µs, gate at 1.12 × the canary’s reference"
    assert (found["protocol hash"], found["table hash"]) == ("ab" * 32, "cd" * 32)


def test_facts_leave_out_what_is_not_known() -> None:
    found = dict(facts(manifest(devices=(), backends=(), space=None, protocol={}, protocol_hash=""), ""))

    assert set(found) == {"job", "table made", "made with"}


def test_protocols_that_differ_are_told_apart() -> None:
    found = dict(facts(manifest(protocol={"desk": {"passes": 12}, "phone": {"passes": 20}}), ""))

    assert found["protocol"] == "desk: 12 passes a round; phone: 20 passes a round"


def test_a_composition_that_is_not_known_is_quoted() -> None:
    assert "measured alone" in composition("isolated")
    assert composition("folded\x00") == "Composition: folded�."


def test_each_way_of_a_table_that_was_composed_in_two_is_told() -> None:
    profiled, line = composition("in_network"), composition("solved")
    assert "profiler" in profiled
    assert "solved from whole random networks" in line
    both = composition("in_network", {"p10_swept", "solved", "in_network"})
    assert profiled in both
    assert line in both
    assert composition("in_network", {"solved"}) == line  # one device and backend of such a table
    assert composition("isolated", {"p25_quiet"}) == composition("isolated")


def test_what_a_device_says_of_itself_is_printed_in_one_line_and_cut() -> None:
    hostile = TableDevice("desk", cpu_model="a\ncpu\x1b[31m\u202e" + "x" * 1000, machine="x86_64")
    found = dict(facts(manifest(devices=(hostile,), backends=()), ""))
    shown = found["device desk"]
    assert shown.startswith("a\N{REPLACEMENT CHARACTER}cpu\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}")
    assert len(shown) == LONGEST


def test_one_core_and_one_thread_are_one() -> None:
    desk = TableDevice("desk", cpus=1, memory_bytes=1 << 30, governor="performance")
    versions = {"desk": "", "phone": "tflite 2.1"}
    backends = (TableBackend("a", "tflite", threads=1), TableBackend("b", "tflite", threads=4, versions=versions))
    found = dict(facts(manifest(devices=(desk,), backends=backends), ""))
    assert found["device desk"] == "1 core, 1 GiB"
    assert found["system of desk"] == "governor performance"
    assert found["backend a"] == "tflite, cpu, 1 thread, fp32"
    assert found["backend b"] == "tflite 2.1, cpu, 4 threads, fp32"


def test_a_backend_of_several_versions_names_each_once() -> None:
    backend = TableBackend("a", "tflite", versions={"u1": "tflite 2.2", "u2": "tflite 2.1", "u3": "tflite 2.2"})
    assert dict(facts(manifest(backends=(backend,)), ""))["backend a"] == "tflite 2.1, tflite 2.2, cpu, 1 thread, fp32"


def test_constants_of_the_protocol_are_told_in_units_and_unknown_ones_are_not() -> None:
    plan = {"gate_ratio": 1.2, "wait_ns": 12_000_000, "long_ns": 2_000_000, "a_new_constant": 7}
    found = dict(facts(manifest(protocol={"desk": plan, "phone": plan}), ""))
    assert found["protocol"] == "gate at 1.2 × the canary’s reference, waiting up to 12.00 ms for quiet, swept above 2.000 ms"


@pytest.mark.parametrize(
    ("mib", "words"),
    [
        (64, "0.062 GiB"),
        (512, "0.5 GiB"),
        (926, "0.9 GiB"),
        (1024, "1 GiB"),
        (3789, "3.7 GiB"),
        (16_000, "16 GiB"),
        (130_000, "127 GiB"),
    ],
)
def test_memory_is_never_nothing(mib: int, words: str) -> None:
    board = TableDevice("board", memory_bytes=mib << 20)
    assert dict(facts(manifest(devices=(board,)), ""))["device board"] == words


def test_what_is_cut_says_so_and_keeps_its_end() -> None:
    """Cut at its end, `gate at 1.12 x` might read `gate at 1.1`."""
    protocol = {f"device-{at:02}": {"gate_ratio": 1 + at / 100} for at in range(40)}
    shown = dict(facts(manifest(protocol=protocol), ""))["protocol"]
    assert len(shown) == LONGEST
    assert shown.startswith("device-00: gate at 1 × the canary’s reference; device-01: gate at 1.01 ×")
    assert shown.count("…") == 1
    assert shown.endswith("device-39: gate at 1.39 × the canary’s reference")


def test_a_device_whose_protocol_says_nothing_known_has_no_empty_place() -> None:
    two = {"desk": {"a_new_constant": 7}, "phone": {"gate_ratio": 1.2}}
    assert dict(facts(manifest(protocol=two), ""))["protocol"] == "gate at 1.2 × the canary’s reference"
    assert "protocol" not in dict(facts(manifest(protocol={"desk": {"a_new_constant": 7}}), ""))


def test_each_device_and_backend_has_its_own_facts_in_the_order_of_the_table() -> None:
    devices = (TableDevice("phone", machine="aarch64"), TableDevice("desk", machine="x86_64"))
    names = [name for name, _ in facts(manifest(devices=devices), "")]
    assert names[:4] == ["device phone", "system of phone", "device desk", "system of desk"]
    assert names[4:6] == [f"backend {ORT}", f"backend {TFLITE}"]


def test_what_a_call_takes_is_told_for_each_backend_by_name_and_that_it_is_not_subtracted() -> None:
    desk = TableDevice("desk", timer_pair_ns=75, call_floor_ns={"b-backend": 5400, "a-backend": 3000})
    found = dict(facts(manifest(devices=(desk,)), ""))
    assert found["call path of desk, not subtracted"] == "3.000 µs (a-backend), 5.400 µs (b-backend), timer 75.00 ns"
    silent = dict(facts(manifest(devices=(TableDevice("desk"),)), ""))
    assert "call path of desk, not subtracted" not in silent


def test_who_runs_an_operator_and_how_precisely_is_told() -> None:
    backends = (TableBackend("gpu", "onnxruntime", "cuda", 2, "fp16", {"desk": "onnxruntime 1.30.0", "phone": ""}),)
    assert dict(facts(manifest(backends=backends), ""))["backend gpu"] == "onnxruntime 1.30.0, cuda, 2 threads, fp16"


def test_names_and_values_from_outside_steer_nothing() -> None:
    bad = "x\x1b[31m\u202e"
    devices, backends = (TableDevice(bad, governor=bad),), (TableBackend(bad, bad),)
    found = facts(manifest(devices=devices, backends=backends, space=bad, job_id=bad, lutfarm_version=bad), bad)
    told = [text for pair in found for text in pair]
    assert not [text for text in told if "\x1b" in text or "\u202e" in text]
    assert sum("x�[31m�" in text for text in told) == 8


@pytest.mark.parametrize("name", sorted(COMPOSITIONS))
def test_every_way_of_composing_says_what_a_prediction_is_and_what_it_gets_wrong(name: str) -> None:
    words = composition(name)
    assert words == COMPOSITIONS[name]
    assert "prediction is the" in words
    assert len(set(COMPOSITIONS.values())) == len(COMPOSITIONS)


def test_the_other_statistics_of_a_table_do_not_change_how_it_is_composed() -> None:
    assert composition("isolated", {"in_network", "solved"}) == COMPOSITIONS["isolated"]
    assert composition("in_network", {"p25_quiet"}) == COMPOSITIONS["in_network"]
    assert composition("solved", {"in_network"}) == COMPOSITIONS["in_network"]
