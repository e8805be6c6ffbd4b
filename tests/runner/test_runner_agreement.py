"""How outputs are compared, whatever they are."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from lutfarm_runner.backends.arrays import outputs, tensors


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([1, 2], [1, 2], 0),
        ([1, 2], [1, 5], 3),
        ([np.inf], [np.inf], 0),
        ([1], [1, 2], np.inf),
        ([], [], 0),
        ([np.nan, 1], [np.nan, 1.5], 0.5),
        ([np.nan, 1], [1, np.nan], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [np.inf], np.inf),
        ([np.inf, 2], [1e300, 2], np.inf),
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
    assert len(listed([0.5] * 100_000)) == 1  # and not a row for each


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


@pytest.mark.parametrize(("dtype", "least"), [("float16", 1e-3), ("float32", 1e-4), ("float64", 1e-4), ("int8", 1e-4)])
def test_two_sums_in_another_order_may_fall_on_neighbouring_numbers(dtype, least):
    assert least <= outputs.tolerance(np.zeros(1, dtype)) < 3 * least


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"])
def test_every_float_of_eight_bits_is_the_number_that_it_stands_for(name):
    codes = bytes(range(256))
    wanted = np.frombuffer(codes, getattr(ml_dtypes, name)).astype(np.float32)
    found = outputs.from_float8(codes, name.replace("_", "").replace("e8m0fnu", "e8m0"))
    np.testing.assert_array_equal(found, wanted)
    assert outputs.nans(found) == np.isnan(wanted).sum() > 0
