"""A small graph of layers that both model formats can express.

Shapes are NCHW with batch 1 throughout; the .tflite writer lays tensors out as NHWC.  Weights are not
here: a writer draws them from the graph's seed, node by node, in order, so that both formats hold the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Activation = Literal["none", "relu", "relu6", "h_swish", "h_sigmoid"]
Shape = tuple[int, int, int, int]
Kind = Literal[
    "convolution",        # kernel, stride, groups (grouped or depthwise), out_channels, activation; bias always
    "scale_shift",        # per channel y = a*x + b: a batch normalisation that follows no convolution
    "activation",
    "add",                # two sources
    "multiply",           # two sources; the second may be 1x1 in height and width (squeeze-excite)
    "average_pool",       # kernel, stride, padding; padded elements are not counted
    "max_pool",
    "global_average_pool",
    "channel_shuffle",    # groups
    "fully_connected",    # from 1x1 spatial; out_channels
    "zero",               # x * 0: the `none` edge where it must still yield a tensor
]


@dataclass(frozen=True, slots=True)
class Tensor:
    """The output of one node (or the graph's input, node -1)."""

    node: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Node:
    """One layer.  `padding` is (top, left, bottom, right): the same in both formats, also at stride 2."""

    kind: Kind
    sources: tuple[Tensor, ...]
    output: Tensor
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    activation: Activation = "none"
    bias: bool = True


@dataclass(slots=True)
class Graph:
    """Layers in the order in which they run; built by appending."""

    name: str
    input_shape: Shape
    seed: int = 0
    nodes: list[Node] = field(default_factory=list[Node])
    outputs: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def input(self) -> Tensor:
        """The graph's one input."""
        return Tensor(node=-1, shape=self.input_shape)
