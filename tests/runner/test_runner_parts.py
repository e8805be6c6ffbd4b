"""Parts of the runner by themselves: readings, endings, lines, the shared page, comparisons."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.testing import REAL
from lutfarm_runner import binary, environment, greeting, limits
from lutfarm_runner.backends import Failed, failed, inputs, outputs, tensors
from lutfarm_runner.commands import Fill, Limits, Plan, Shape, Workload, called, read_probe
from lutfarm_runner.endings import describe
from lutfarm_runner.round import allowance_s, is_ours
from lutfarm_runner.sampling import Subject, quantile
from lutfarm_runner.wire import Lines, Refused, Tail, decode, encode, printable, write_all

WORKLOAD = Workload(0, "m", "onnxruntime", 1, seed=5)


def test_environment_has_the_fields_of_a_measurement():
    from lutfarm_jobs.measurement import Environment

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


@pytest.mark.parametrize(("present", "online", "smt", "off"), [
    ("0-7", "0-3", None, [4, 5, 6, 7]), ("0-7", "0-7", None, []), ("0-15", "0-7", "off", []),
    ("0-7", "0,2-3", "notsupported", [1, 4, 5, 6, 7]),
    ("0-7", None, None, []), ("0-7", "x", None, []), ("0-99999", "0-3", None, []),
])
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


@pytest.mark.parametrize(("header", "floats"), [
    (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x28\0" + bytes(16) + b"\0\x04\0\x05" + bytes(24), "hard-float"),
    (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x28\0" + bytes(16) + b"\0\x02\0\x05" + bytes(24), "soft-float"),
    (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x03\0" + bytes(16) + b"\0\x04\0\x05" + bytes(24), ""),
    (b"\x7fELF\x02\x01" + bytes(10) + b"\x02\0\xb7\0" + bytes(44), ""), (b"#!/bin/sh\n", ""), (b"", ""),
])
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
        ("processor : 0\nHardware\t: Board\n", "Board"), ("", None), ("garbage", None),
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
    assert greeting.machine_id() == greeting.machine_id()
    raw = environment.read_text("/proc/sys/kernel/random/boot_id") or ""
    assert raw.replace("-", "") != greeting.machine_id()


def test_the_hello_fits_in_a_line():
    assert len(encode("hello", greeting.hello())) < 10_000


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


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_is_a_command_or_refused(value):
    try:
        assert isinstance(decode(json.dumps(value).encode())["type"], str)
    except Refused as refused:
        assert refused.code == "ProtocolMismatch"


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


PLAN = Plan(12, 400_000, 5, 2, 1.12, 12_000_000, 3, 4_000_000, 3)


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
        (MemoryError(), "OutOfMemory"), (RuntimeError("std::bad_alloc"), "OutOfMemory"),
        (RuntimeError("Failed to allocate memory for requested buffer"), "OutOfMemory"),
        (ValueError("no such node"), "WorkloadFailed"),
    ],
)
def test_a_vendors_error_by_what_it_means(error, code):
    found = failed(error, "loading")
    assert found.code == code
    assert found.detail.startswith("loading: ")


def test_inputs_are_drawn_in_nchw_and_laid_out():
    as_is = inputs.Inputs(WORKLOAD).make([1, 3, 4, 5], "float32")
    nhwc = Workload(0, "m", "tflite", 1, seed=5, input_layout="nhwc")
    laid_out = inputs.Inputs(nhwc).make([1, 4, 5, 3], "float32")
    assert np.array_equal(as_is.transpose(0, 2, 3, 1), laid_out)
    assert laid_out.flags["C_CONTIGUOUS"]
    assert as_is.dtype == np.float32
    assert np.array_equal(as_is, np.random.RandomState(5).standard_normal((1, 3, 4, 5)).astype(np.float32))


@given(st.integers(0, 99), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_a_stream_is_one_draw_of_its_seed_however_it_is_asked(seed, pieces):
    whole = np.random.RandomState(seed).standard_normal(80).astype(np.float32)
    stream = inputs.Stream(seed)
    for first, count in pieces:
        assert np.array_equal(stream.take(first, count), whole[first:first + count])


def test_the_second_input_goes_on_where_the_first_ended():
    one = inputs.Inputs(WORKLOAD)
    made = [one.make([3], "float32"), one.make([2], "int64"), one.make([4], "float16")]
    whole = np.random.RandomState(5).standard_normal(7).astype(np.float32)
    assert np.array_equal(made[0], whole[:3])
    assert np.array_equal(made[2], whole[3:].astype(np.float16))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "bool"])
def test_other_inputs_are_zeros(dtype):
    made = inputs.Inputs(WORKLOAD).make([2, 2], dtype)
    assert not made.any()
    assert made.dtype == dtype


@pytest.mark.parametrize(
    ("fill", "dtype", "made"),
    [
        (Fill("x", "constant", (16000,)), "int64", [[16000, 16000, 16000], [16000, 16000, 16000]]),
        (Fill("x", "constant", (True,)), "bool", [[True, True, True], [True, True, True]]),
        (Fill("x", "constant", (2.5,)), "float16", [[2.5, 2.5, 2.5], [2.5, 2.5, 2.5]]),
        (Fill("x", "count", (1, 0)), "int32", [[1, 2, 3], [1, 2, 3]]),
        (Fill("x", "count", (1, 2)), "int64", [[1, 2, 1], [1, 2, 1]]),
        (Fill("x", "values", (1, 2, 3, 4, 5, 6)), "uint8", [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_inputs_are_filled_as_the_host_says(fill, dtype, made):
    found = inputs.Inputs(WORKLOAD).make([2, 3], dtype, fill)
    assert found.tolist() == made
    assert found.dtype == dtype
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int64", 5, 7), ("bool", False, True), ("uint64", 0, (1 << 64) - 1), ("int64", -(1 << 63), (1 << 63) - 1),
        ("float32", -0.5, 0.5),
    ],
)
def test_a_range_is_drawn_from_the_seed_and_reaches_both_ends(dtype, low, high):
    fill = Fill("x", "uniform", (low, high))
    one, same = (inputs.Inputs(WORKLOAD).make([1000], dtype, fill) for _ in range(2))
    assert np.array_equal(one, same)
    assert one.min() >= low
    assert one.max() <= high
    assert len(np.unique(one)) > 1
    if dtype != "float32" and high - low < 3:
        assert sorted({int(value) for value in one}) == list(range(low, high + 1))


def test_a_scalar_can_be_counted_and_an_empty_input_filled():
    assert inputs.Inputs(WORKLOAD).make([], "int64", Fill("x", "count", (3, 0))).tolist() == 3
    assert inputs.Inputs(WORKLOAD).make([0, 4], "int64", Fill("x", "uniform", (0, 9))).shape == (0, 4)


def test_a_fill_is_found_by_what_its_input_is_called():
    named, unnamed = Fill("b", "constant", (1,)), Fill("#1", "constant", (2,))
    workload = replace(WORKLOAD, fills=(named, unnamed))
    assert [inputs.fill_of(workload, name) for name in ("b", "#1", "c")] == [named, unnamed, None]


@pytest.mark.parametrize(("shape", "code"), [([1 << 20, 1 << 20], "OutOfMemory"), ([2], "WorkloadFailed")])
def test_impossible_inputs_are_failures(shape, code):
    with pytest.raises(Failed) as caught:
        inputs.Inputs(WORKLOAD).make(shape, "float32" if code == "OutOfMemory" else "U4")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("own", "given_shapes", "expected"),
    [
        ([1, 3], (), [1, 3]), (["n", 3], (Shape("x", (4, 3), "float32"),), [4, 3]), ([], (), []),
        ([None, 3], (Shape("y", (9, 9), "float32"), Shape("x", (0, 3), "float32")), [0, 3]), ([1, 0, 64], (), [1, 0, 64]),
        (["n", 3], (), None), ([-1], (), None), ([None], (), None),
    ],
)
def test_an_inputs_shape_is_given_or_its_own(own, given_shapes, expected):
    if expected is None:
        with pytest.raises(Failed, match="dynamic"):
            inputs.concrete_shape("x", own, given_shapes)
    else:
        assert inputs.concrete_shape("x", own, given_shapes) == expected


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([1, 2], [1, 2], 0), ([1, 2], [1, 5], 3), ([np.inf], [np.inf], 0), ([1], [1, 2], np.inf), ([], [], 0),
        ([np.nan, 1], [np.nan, 1.5], 0.5), ([np.nan, 1], [1, np.nan], np.inf), ([np.inf], [-np.inf], np.inf),
        ([np.nan], [np.inf], np.inf), ([np.inf, 2], [1e300, 2], np.inf),
    ],
)
def test_the_difference_of_two_outputs(one, other, apart):
    compare = tensors.NumpyBackend()
    assert compare.difference(np.asarray(one, float), np.asarray(other, float)) == apart
    assert compare.difference(np.asarray(other, float), np.asarray(one, float)) == apart


def test_finite_elements_decide_what_the_largest_is():
    compare = tensors.NumpyBackend()
    broken = np.asarray([np.nan, 1.0, -3.0, np.inf])
    assert (compare.largest(broken), compare.nans(broken), compare.finite(broken)) == (3.0, 1, False)
    assert (compare.largest(np.asarray([np.nan])), compare.nans(np.asarray([7]))) == (0.0, 0)


def test_outputs_of_many_elements_are_compared_to_the_end():
    one = np.zeros(outputs.CHUNK * 2 + 5, np.float32)
    other = one.copy()
    other[-1] = 0.25
    assert outputs.difference(one, other) == 0.25
    assert outputs.largest(other) == 0.25


def listed(value):
    return [row.tolist() for row in outputs.rows(value)]


def test_every_kind_of_output_becomes_rows():
    assert listed(np.float32(1.5)) == [[1.5]]
    assert listed(np.asarray([[True], [False]])) == [[True, False]]
    assert listed(np.asarray([1 + 2j], np.complex64)) == [[1.0, 2.0]]
    assert listed(np.asarray(["a", "b"], object)) == [["a", "b"]]
    assert listed(np.zeros((0, 3), np.int8)) == [[]]
    assert listed([np.ones(2), np.zeros(1)]) == [[1.0, 1.0], [0.0]]
    assert listed([{0: 0.5, 1: 0.25}]) == [[0, 1], [0.5, 0.25]]
    assert listed({"cat": 1.0}) == [["cat"], [1.0]]
    assert listed(None) == listed([]) == listed(object()) == []
    assert len(listed([0.5] * 100_000)) == 1       # and not a row for each


def test_a_copy_is_kept_and_no_view():
    buffer = np.ones(3, np.float32)
    (row,) = outputs.rows(buffer)
    buffer[:] = 7
    assert row.tolist() == [1, 1, 1]


def test_bits_of_narrow_types_without_what_pads_them():
    assert outputs.bits(b"\xff\xff", 3, 4).tolist() == [0xFF, 0x0F]
    assert outputs.bits(b"\xff", 1, 2).tolist() == [0x03]
    assert outputs.bits(b"\xff\xff", 2, 8).tolist() == [0xFF, 0xFF]
    assert outputs.from_bfloat16(b"\x80\x3f\x00\xc0").tolist() == [1.0, -2.0]


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"])
def test_every_float_of_eight_bits_is_the_number_that_it_stands_for(name):
    codes = bytes(range(256))
    wanted = np.frombuffer(codes, getattr(ml_dtypes, name)).astype(np.float32)
    found = outputs.from_float8(codes, name.replace("_", "").replace("e8m0fnu", "e8m0"))
    np.testing.assert_array_equal(found, wanted)
    assert outputs.nans(found) == np.isnan(wanted).sum() > 0


@pytest.mark.parametrize(("dtype", "least"), [("float16", 1e-3), ("float32", 1e-4), ("float64", 1e-4), ("int8", 1e-4)])
def test_two_sums_in_another_order_may_fall_on_neighbouring_numbers(dtype, least):
    assert least <= outputs.tolerance(np.zeros(1, dtype)) < 3 * least


@pytest.mark.parametrize(
    ("names", "found"),
    [(["a", "b"], ["a", "b"]), (["", "b"], ["#0", "b"]), (["a", "b", "a"], ["#0", "b", "#2"]), ([], [])],
)
def test_what_inputs_are_called(names, found):
    assert called(names) == found
