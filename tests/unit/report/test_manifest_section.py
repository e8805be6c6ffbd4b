"""The head of a report: what the table is of, and how its predictions are made."""

from __future__ import annotations

from tests.report_kit import ORT, UNIT, manifest

from lutfarm.lut.schema.manifest import TableBackend, TableDevice
from lutfarm.report.manifest_section import LONGEST, composition, facts


def test_facts_name_device_backend_job_and_both_hashes() -> None:
    found = dict(facts(manifest(), "cd" * 32))

    assert found[f"device {UNIT}"] == "A Processor @ 2.60GHz, x86_64, 2 cores, 24 GiB"
    assert found[f"system of {UNIT}"] == "Linux 6.1.0, CPython 3.11.7, governor not readable"
    assert found[f"call path of {UNIT}, not subtracted"] == f"3.200 µs ({ORT}), timer 75.00 ns"
    assert found[f"backend {ORT}"] == "onnxruntime 1.30.0, cpu, 1 thread, fp32"
    assert found["table made"] == "2025-11-23 23:20:00 UTC"
    assert found["protocol"] == "12 passes a process, slices of 400.0 µs, gate at 1.12 × the canary’s reference"
    assert (found["protocol hash"], found["table hash"]) == ("ab" * 32, "cd" * 32)


def test_facts_leave_out_what_is_not_known() -> None:
    found = dict(facts(manifest(devices=(), backends=(), space=None, protocol={}, protocol_hash=""), ""))

    assert set(found) == {"job", "table made", "made with"}


def test_protocols_that_differ_are_told_apart() -> None:
    found = dict(facts(manifest(protocol={"desk": {"passes": 12}, "phone": {"passes": 20}}), ""))

    assert found["protocol"] == "desk: 12 passes a process; phone: 20 passes a process"


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
