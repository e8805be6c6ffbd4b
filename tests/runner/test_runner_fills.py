"""What inputs are filled with: drawn, counted, given, and which can't be made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_runner.backends.arrays import inputs
from lutfarm_runner.commands import Fill, Shape, Workload, called
from lutfarm_runner.workload_failure import Failed

WORKLOAD = Workload(0, "m", "onnxruntime", 1, seed=5)


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
        assert np.array_equal(stream.take(first, count), whole[first : first + count])


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
        ("int64", 5, 7),
        ("bool", False, True),
        ("uint64", 0, (1 << 64) - 1),
        ("int64", -(1 << 63), (1 << 63) - 1),
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
        ([1, 3], (), [1, 3]),
        (["n", 3], (Shape("x", (4, 3), "float32"),), [4, 3]),
        ([], (), []),
        ([None, 3], (Shape("y", (9, 9), "float32"), Shape("x", (0, 3), "float32")), [0, 3]),
        ([1, 0, 64], (), [1, 0, 64]),
        (["n", 3], (), None),
        ([-1], (), None),
        ([None], (), None),
    ],
)
def test_an_inputs_shape_is_given_or_its_own(own, given_shapes, expected):
    if expected is None:
        with pytest.raises(Failed, match="dynamic"):
            inputs.concrete_shape("x", own, given_shapes)
    else:
        assert inputs.concrete_shape("x", own, given_shapes) == expected


@pytest.mark.parametrize(
    ("names", "found"), [(["a", "b"], ["a", "b"]), (["", "b"], ["#0", "b"]), (["a", "b", "a"], ["#0", "b", "#2"]), ([], [])]
)
def test_what_inputs_are_called(names, found):
    assert called(names) == found
