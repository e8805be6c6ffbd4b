"""A small graph of layers that both model formats can express.

Shapes are NCHW with batch 1 throughout; the .tflite writer lays tensors out as NHWC.  Weights are not
here: a writer draws them from the graph's seed, node by node, in order, so that both formats hold the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lutfarm_jobs.graphs.padding import same_padding_2d

Activation = Literal["none", "relu", "relu6", "h_swish", "h_sigmoid"]
Shape = tuple[int, int, int, int]
Kind = Literal[
    "convolution",  # kernel, stride, groups (grouped or depthwise), out_channels, activation; bias always
    "scale_shift",  # per channel y = a*x + b: a batch normalisation that follows no convolution
    "activation",
    "add",  # two sources
    "multiply",  # two sources; the second may be 1x1 in height and width (squeeze-excite)
    "average_pool",  # kernel, stride, padding; padded elements are not counted
    "max_pool",
    "global_average_pool",
    "channel_shuffle",  # groups
    "fully_connected",  # from 1x1 spatial; out_channels
    "zero",  # x * 0: the `none` edge where it must still yield a tensor
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
    labels: list[str] = field(default_factory=list[str])  # by node: whose it is; no part of the model's file

    @property
    def input(self) -> Tensor:
        """The graph's one input."""
        return Tensor(node=-1, shape=self.input_shape)

    def check_writable(self) -> None:
        """Raises ValueError for a graph that is no model: without layers, or whose output is not its last layer."""
        if not self.nodes:
            raise ValueError(f"{self.name}: no layer at all is a zero entry, and never becomes a model")
        if [tensor.node for tensor in self.outputs] != [len(self.nodes) - 1]:
            raise ValueError(f"{self.name}: the one output must be the last node's, not {self.outputs}")

    def label(self, name: str) -> None:
        """Say that all layers appended since the last label are of `name`: an operator's key, or nothing."""
        self.labels += [name] * (len(self.nodes) - len(self.labels))

    def finish(self, output: Tensor) -> Graph:
        """Make `output` the graph's one output."""
        self.outputs[:] = [output]
        return self

    def convolution(
        self,
        source: Tensor,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = "none",
    ) -> Tensor:
        """A convolution with its normalisation folded into it; grouped or depthwise by `groups`."""
        return self._windowed("convolution", source, out_channels, kernel, stride, groups, activation)

    def average_pool(self, source: Tensor, *, kernel: int, stride: int) -> Tensor:
        """Average over the elements that are there: padded ones are not counted."""
        return self._windowed("average_pool", source, source.shape[1], kernel, stride, 1, "none")

    def max_pool(self, source: Tensor, *, kernel: int, stride: int) -> Tensor:
        """The largest of each window."""
        return self._windowed("max_pool", source, source.shape[1], kernel, stride, 1, "none")

    def _windowed(
        self, kind: Kind, source: Tensor, channels: int, kernel: int, stride: int, groups: int, activation: Activation
    ) -> Tensor:
        _, _, height, width = source.shape
        shape = (1, channels, -(-height // stride), -(-width // stride))
        padding = same_padding_2d(height, width, kernel, stride)
        return self._append(
            kind, (source,), shape, kernel=kernel, stride=stride, groups=groups, padding=padding, activation=activation
        )

    def scale_shift(self, source: Tensor, *, activation: Activation = "none") -> Tensor:
        """y = a*x + b for each channel: a normalisation that follows no convolution."""
        return self._append("scale_shift", (source,), source.shape, activation=activation)

    def activation(self, source: Tensor, activation: Activation) -> Tensor:
        """An activation by itself."""
        return self._append("activation", (source,), source.shape, activation=activation)

    def add(self, first: Tensor, second: Tensor) -> Tensor:
        """The sum of two tensors of one shape."""
        return self._append("add", (first, second), first.shape)

    def multiply(self, source: Tensor, gate: Tensor) -> Tensor:
        """Elementwise; a gate of 1 x 1 in height and width scales whole channels."""
        return self._append("multiply", (source, gate), source.shape)

    def global_average_pool(self, source: Tensor) -> Tensor:
        """The mean of each channel, kept as 1 x 1 in height and width."""
        return self._append("global_average_pool", (source,), (1, source.shape[1], 1, 1))

    def channel_shuffle(self, source: Tensor, groups: int) -> Tensor:
        """Interleave the channels of `groups` groups (ShuffleNet, arXiv:1707.01083)."""
        return self._append("channel_shuffle", (source,), source.shape, groups=groups)

    def fully_connected(self, source: Tensor, out_channels: int, *, activation: Activation = "none") -> Tensor:
        """From 1 x 1 in height and width."""
        return self._append("fully_connected", (source,), (1, out_channels, 1, 1), activation=activation)

    def zero(self, source: Tensor) -> Tensor:
        """x * 0, where nothing reaches a tensor that must still be there."""
        return self._append("zero", (source,), source.shape)

    def _append(
        self,
        kind: Kind,
        sources: tuple[Tensor, ...],
        shape: Shape,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        activation: Activation = "none",
    ) -> Tensor:
        output = Tensor(len(self.nodes), shape)
        self.nodes.append(Node(kind, sources, output, kernel, stride, groups, padding, activation))
        return output
