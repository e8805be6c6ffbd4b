"""The one padding rule of both formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs.graphs.padding import NO_PADDING, padding_mode, same_padding, same_padding_2d

SIZES = st.integers(1, 300)
KERNELS = st.sampled_from([1, 2, 3, 5, 7])
STRIDES = st.integers(1, 3)


@given(SIZES, KERNELS, STRIDES)
def test_output_is_the_size_over_the_stride_rounded_up(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    if kernel >= stride:
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert 0 <= before <= after <= before + 1


@given(SIZES, st.sampled_from([1, 3, 5, 7]))
def test_odd_kernels_at_stride_1_are_padded_evenly(size: int, kernel: int) -> None:
    assert same_padding(size, kernel, 1) == (kernel // 2, kernel // 2)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (56, 5, 2, (1, 2)),
        (33, 7, 2, (3, 3)),
        (8, 2, 2, (0, 0)),
        (7, 1, 2, (0, 0)),
        (8, 1, 2, (0, 0)),
        (4, 7, 1, (3, 3)),
    ],
)
def test_known_values_of_tensorflow(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


@pytest.mark.parametrize(("padding", "mode"), [((0, 0, 1, 1), "SAME"), (NO_PADDING, "VALID")])
def test_padding_has_the_name_that_tflite_gives_it(padding: tuple[int, int, int, int], mode: str) -> None:
    assert padding_mode(56, 56, kernel=3, stride=2, padding=padding) == mode


def test_two_axes_are_independent() -> None:
    assert same_padding_2d(224, 225, 3, 2) == (0, 1, 1, 1)


def test_a_symmetric_padding_at_stride_2_is_refused_because_it_would_need_a_pad_operator() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 1, 1\).*neither SAME \(\(0, 0, 1, 1\)\)"):
        padding_mode(56, 56, kernel=3, stride=2, padding=(1, 1, 1, 1))
