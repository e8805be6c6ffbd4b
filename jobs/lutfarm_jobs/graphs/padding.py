"""The one rule for padding, so that neither runtime gains a pad that the other lacks.

TensorFlow Lite knows two paddings: VALID (none) and SAME, which at stride 2 and an even size puts one
element less before than after.  A symmetric padding there would need a PAD operator of its own in
TFLite, while ONNX keeps any padding inside the convolution; so both formats use SAME.  The output size,
ceil(size / stride), and the multiply-accumulates are those of the symmetric padding k // 2.
"""

from __future__ import annotations

from typing import Literal

NO_PADDING = (0, 0, 0, 0)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Elements to add (before, after) along one axis, as TensorFlow's SAME defines them."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def same_padding_2d(height: int, width: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), as `Node.padding` wants it."""
    top, bottom = same_padding(height, kernel, stride)
    left, right = same_padding(width, kernel, stride)
    return top, left, bottom, right


def padding_mode(
    height: int, width: int, *, kernel: int, stride: int, padding: tuple[int, int, int, int]
) -> Literal["SAME", "VALID"]:
    """TFLite's name for a padding; ValueError for one that would need a PAD operator."""
    if padding == same_padding_2d(height, width, kernel, stride):
        return "SAME"
    if padding == NO_PADDING:
        return "VALID"
    raise ValueError(
        f"padding {padding} of kernel {kernel}, stride {stride} over {height}x{width} is neither SAME "
        f"({same_padding_2d(height, width, kernel, stride)}) nor none, and would need an operator of its own"
    )
