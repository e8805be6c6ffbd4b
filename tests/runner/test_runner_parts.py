"""Parts of the runner by themselves: readings, endings, lines, the shared page."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.testing import REAL
from lutfarm_jobs.runtimes import all_packages
from lutfarm_runner import binary, hello
from lutfarm_runner.backends.arrays import inputs
from lutfarm_runner.child.round import allowance_s, is_ours
from lutfarm_runner.child.sampling import Subject, quantile
from lutfarm_runner.commands import Limits, WireSlicing, read_probe
from lutfarm_runner.exit_reason import describe
from lutfarm_runner.machine import environment, limits
from lutfarm_runner.wire import Lines, Refused, Tail, Writer, claim_stdout, decode, encode, printable, write_all
from lutfarm_runner.workload_failure import failed


def test_environment_has_the_fields_of_a_measurement():
    from lutfarm_jobs.run import Environment

    found = Environment(**environment.environment(0))
    assert abs(found.time_s - time.time()) < 3600
    assert found.memory_available_bytes > 0
    assert found.load_1min >= 0


def test_zones_are_read_with_their_types(tmp_path):
    zones = [("cpu-thermal", "41000"), (None, "55500"), ("x", "nonsense"), ("battery", "-40000")]
    for number, (kind, reading) in enumerate(zones):
        (tmp_path / f"thermal_zone{number}").mkdir()
        (tmp_path / f"thermal_zone{number}" / "temp").write_text(reading + "\n")
        if kind:
            (tmp_path / f"thermal_zone{number}" / "type").write_text(kind + "\n")
    assert environment.zones(str(tmp_path)) == [("cpu-thermal", 41000), ("", 55500), ("battery", -40000)]
    assert environment.zones(str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("present", "online", "smt", "off"),
    [
        ("0-7", "0-3", None, [4, 5, 6, 7]),
        ("0-7", "0-7", None, []),
        ("0-15", "0-7", "off", []),
        ("0-7", "0,2-3", "notsupported", [1, 4, 5, 6, 7]),
        ("0-7", None, None, []),
        ("0-7", "x", None, []),
        ("0-99999", "0-3", None, []),
    ],
)
def test_cores_that_are_off_are_named(tmp_path, present, online, smt, off):
    (tmp_path / "smt").mkdir()
    for name, text in (("present", present), ("online", online), ("smt/control", smt)):
        if text is not None:
            (tmp_path / name).write_text(text + "\n")
    assert environment.cpus_off(str(tmp_path)) == off


@pytest.mark.parametrize("name", sorted(REAL))
def test_trees_of_real_devices_are_read(tmp_path, name):
    real = REAL[name]
    real.write(tmp_path)
    assert tuple(environment.cpus_off(str(tmp_path / "devices/system/cpu"))) == real.off
    found = environment.zones(str(tmp_path / "class/thermal"))
    assert sorted(found) == sorted((kind, int(reading)) for kind, reading in real.zones)


@pytest.mark.parametrize(
    ("header", "floats"),
    [
        (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x28\0" + bytes(16) + b"\0\x04\0\x05" + bytes(24), "hard-float"),
        (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x28\0" + bytes(16) + b"\0\x02\0\x05" + bytes(24), "soft-float"),
        (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x03\0" + bytes(16) + b"\0\x04\0\x05" + bytes(24), ""),
        (b"\x7fELF\x02\x01" + bytes(10) + b"\x02\0\xb7\0" + bytes(44), ""),
        (b"#!/bin/sh\n", ""),
        (b"", ""),
    ],
)
def test_how_an_arm_program_passes_floats(header, floats):
    assert binary.arm_floats(header) == floats


def test_this_interpreter_says_what_it_was_built_for():
    assert binary.word_bits() == (64 if sys.maxsize > 2**32 else 32)
    assert binary.abi()
    assert isinstance(binary.libc(), str)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("processor : 0\nmodel name : Fast 9000\nHardware : Board\n", "Fast 9000"),
        ("processor : 0\nHardware\t: Board\n", "Board"),
        ("", None),
        ("garbage", None),
    ],
)
def test_the_first_field_that_is_there(tmp_path, content, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(content)
    assert environment.colon_field(str(path), "model name", "Hardware") == expected


def test_what_is_missing_is_none(tmp_path):
    assert environment.read_text(str(tmp_path / "no")) is None
    assert environment.read_int(str(tmp_path / "no")) is None
    assert environment.governor(9999) is None
    assert environment.memory_bytes("NoSuchField") is None


def test_the_machine_id_is_stable_and_no_raw_identifier():
    assert hello.machine_id() == hello.machine_id()
    raw = environment.read_text("/proc/sys/kernel/random/boot_id") or ""
    assert raw.replace("-", "") != hello.machine_id()


def test_the_hello_fits_in_a_line():
    assert len(encode("hello", hello.hello(all_packages()))) < 10_000


@pytest.mark.parametrize(
    ("code", "said", "hung", "error", "words"),
    [
        (-signal.SIGSEGV, b"", False, "WorkloadFailed", "SIGSEGV"),
        (-signal.SIGKILL, b"", False, "OutOfMemory", "SIGKILL"),
        (-signal.SIGKILL, b"", True, "WorkloadTimeout", "in time"),
        (-signal.SIGABRT, b"what(): std::bad_alloc", False, "OutOfMemory", "SIGABRT"),
        (-99, b"", False, "WorkloadFailed", "signal 99"),
        (7, b"oh \x1b[31mno", False, "WorkloadFailed", "exit status 7"),
        (0, b"", False, "WorkloadFailed", "without a result"),
    ],
)
def test_what_an_ending_means(code, said, hung, error, words):
    tail = Tail()
    tail.add(said)
    found, detail = describe(code, tail, hung=hung)
    assert found == error
    assert words in detail
    assert "\x1b" not in detail


@given(st.binary(max_size=9000))
def test_last_words_are_short_and_printable(data):
    words = printable(data)
    assert len(words) <= 2000
    assert all(letter.isprintable() or letter == "\n" for letter in words)


@given(st.lists(st.binary(max_size=9)))
def test_a_tail_keeps_the_end(pieces):
    tail = Tail(limit=20)
    for piece in pieces:
        tail.add(piece)
    assert tail.data == b"".join(pieces)[-20:]


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=8), st.binary(max_size=5))
def test_lines_arrive_whole_and_an_unfinished_one_never(lines, rest):
    read, write = os.pipe()
    write_all(write, b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b""))
    os.close(write)
    reader, found = Lines(read), []
    while not reader.ended:
        found += reader.read()
    os.close(read)
    assert found == lines


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_json_is_a_command_or_refused(value):
    try:
        assert isinstance(decode(json.dumps(value).encode())["type"], str)
    except Refused as refused:
        assert refused.code == "ProtocolMismatch"


@pytest.mark.parametrize("line", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b"[]", b'{"type": 1}', b"{}"])
def test_what_is_no_command_is_a_fault_of_the_protocol(line):
    with pytest.raises(Refused) as refused:
        decode(line)
    assert refused.value.code == "ProtocolMismatch"


def test_a_refusal_is_two_lines_on_its_writers_descriptor():
    read, write = os.pipe()
    Writer(write).error(Refused("NotReady", "d" * 9000))
    os.close(write)
    with os.fdopen(read) as lines:
        said = [json.loads(line) for line in lines]
    assert said == [{"type": "error", "code": "NotReady", "detail": "d" * 8000}, {"type": "done", "cancelled": False}]


def test_what_prints_can_not_corrupt_the_wire(capfd):
    """The wire is a descriptor of its own, and whatever writes to descriptor 1 says it on stderr from then on."""
    kept = os.dup(1)
    try:
        wire = claim_stdout()
        os.write(1, b"a library speaks\n")
        os.write(wire, b"an event\n")
        os.close(wire)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert capfd.readouterr() == ("an event\n", "a library speaks\n")


@given(
    st.dictionaries(
        st.sampled_from(["workloads", "limits", "cpus"]),
        st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner)),
    )
)
def test_any_probe_order_is_read_or_refused(fields):
    with pytest.raises(Refused):
        read_probe(fields)


def test_nan_never_gets_onto_the_wire():
    with pytest.raises(ValueError, match="JSON"):
        encode("probed", {"agreement": float("nan")})


def test_memory_readings_are_consistent():
    status = limits.status_bytes()
    assert 0 < limits.own_bytes() <= limits.peak_bytes() <= status["VmPeak"]
    assert limits.mapped_bytes() >= status["VmRSS"]
    assert limits.own_peak_bytes() > 0


@pytest.mark.parametrize(("cpus", "rest"), [([], True), (range(4096), False)])
def test_others_are_the_cores_that_are_left(cpus, rest):
    assert (limits.others(cpus) is not None) is rest


PLAN = WireSlicing(12, 400_000, 5, 2, 1.12, 12_000_000, 3, 4_000_000, 3)


@pytest.mark.parametrize(
    ("iteration_ns", "iteration_s", "allowed_s"),
    [(50_000, 30.0, 2.0), (100_000_000, 30.0, 2.1), (1_000_000_000, 30.0, 20.0), (10**9, 1.0, 4.1)],
)
def test_a_visit_may_take_ten_times_what_it_should(iteration_ns, iteration_s, allowed_s):
    found = allowance_s(Subject(0, int, iteration_ns), PLAN, Limits(1, 1.0, iteration_s), 50_000)
    assert found == pytest.approx(allowed_s, rel=0.1)


def test_a_bug_of_the_runner_is_told_from_a_vendors_error():
    def raised(function, *arguments):
        with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it is
            function(*arguments)
        return caught.value.with_traceback(caught.value.__traceback__.tb_next)

    assert is_ours(raised(quantile, [], 0.5))
    assert not is_ours(raised(inputs.concrete_shape, "x", None, ()))
    assert not is_ours(raised(json.loads, "garbage"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "OutOfMemory"),
        (RuntimeError("std::bad_alloc"), "OutOfMemory"),
        (RuntimeError("Failed to allocate memory for requested buffer"), "OutOfMemory"),
        (ValueError("no such node"), "WorkloadFailed"),
    ],
)
def test_a_vendors_error_by_what_it_means(error, code):
    found = failed(error, "loading")
    assert found.code == code
    assert found.detail.startswith("loading: ")
