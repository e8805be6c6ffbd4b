"""The operators of the known search spaces, as frozen values.

A field is written into the key behind its letters, so that a key says all that tells two operators
apart: `mbconv_H56_W56_Cin24_Cout24_mid144_k3_s1_g1_x1_se0_res1_relu`.  Sizes are in elements; every
window is SAME-padded (lutfarm_jobs.graphs.padding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from lutfarm_jobs.graphs.graph import Activation, Graph, Shape, Tensor

LETTERS: Mapping[str, str] = {
    "height": "H",
    "width": "W",
    "channels": "C",
    "in_channels": "Cin",
    "out_channels": "Cout",
    "mid_channels": "mid",
    "kernel": "k",
    "stride": "s",
    "groups": "g",
    "expands": "x",
    "squeezes": "se",
    "residual": "res",
    "activation": "",
}


@dataclass(frozen=True, slots=True)
class Base:
    """What every operator has: the input's height and width."""

    kind: ClassVar[str]

    height: int
    width: int

    @property
    def key(self) -> str:
        """The canonical key: the kind, then each field behind its letters."""
        parts = (LETTERS[f.name] + str(getattr(self, f.name)) for f in fields(self))
        return "_".join((self.kind, *parts))

    @property
    def is_nothing(self) -> bool:
        """Most operators cost something."""
        return False

    @property
    def _area(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class OneWidth(Base):
    """As many channels out as in."""

    channels: int

    @property
    def input_shape(self) -> Shape:
        """NCHW, batch 1."""
        return (1, self.channels, self.height, self.width)

    @property
    def multiply_accumulates(self) -> int:
        """One for each element, as good as nothing."""
        return self._area * self.channels


@dataclass(frozen=True, slots=True)
class TwoWidths(Base):
    """From so many channels to so many others, at a stride."""

    in_channels: int
    out_channels: int

    @property
    def input_shape(self) -> Shape:
        """NCHW, batch 1."""
        return (1, self.in_channels, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Conv(TwoWidths):
    """Convolution, normalisation, activation; depthwise where groups = channels."""

    kind: ClassVar[str] = "conv"

    kernel: int
    stride: int
    groups: int
    activation: Activation

    @property
    def multiply_accumulates(self) -> int:
        """Kernel area times channels, for each output element."""
        return strided(self._area, self.height, self.width, self.stride) * (
            self.kernel**2 * self.in_channels // self.groups * self.out_channels
        )

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.convolution(
            source, self.out_channels, kernel=self.kernel, stride=self.stride, groups=self.groups, activation=self.activation
        )


@dataclass(frozen=True, slots=True)
class MBConv(TwoWidths):
    """Inverted residual (arXiv:1801.04381): 1x1 to `mid_channels`, depthwise, [squeeze-excite], 1x1.

    `expands` 0 leaves the first 1x1 out (MBConv1 of ProxylessNAS; FBNet has it also at ratio 1).  With
    `groups` > 1 both 1x1 are grouped and the first is followed by a channel shuffle.
    """

    kind: ClassVar[str] = "mbconv"

    mid_channels: int
    kernel: int
    stride: int
    groups: int
    expands: int
    squeezes: int
    residual: int
    activation: Activation

    @property
    def squeezed_channels(self) -> int:
        """Channels within squeeze-excite: a quarter, rounded to a multiple of 8 (MobileNetV3)."""
        return divisible(self.mid_channels // 4, 8)

    @property
    def multiply_accumulates(self) -> int:
        """Of the convolutions and the squeeze-excite."""
        out_area = strided(self._area, self.height, self.width, self.stride)
        first = self._area * self.in_channels * self.mid_channels // self.groups if self.expands else 0
        depthwise = out_area * self.kernel**2 * self.mid_channels
        last = out_area * self.mid_channels * self.out_channels // self.groups
        return first + depthwise + last + self.squeezes * 2 * self.mid_channels * self.squeezed_channels

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        inner = source
        if self.expands:
            inner = graph.convolution(inner, self.mid_channels, groups=self.groups, activation=self.activation)
            if self.groups > 1:
                inner = graph.channel_shuffle(inner, self.groups)
        inner = graph.convolution(
            inner, self.mid_channels, kernel=self.kernel, stride=self.stride, groups=self.mid_channels, activation=self.activation
        )
        if self.squeezes:
            gate = graph.global_average_pool(inner)
            gate = graph.convolution(gate, self.squeezed_channels, activation="relu")
            gate = graph.convolution(gate, self.mid_channels, activation="h_sigmoid")
            inner = graph.multiply(inner, gate)
        inner = graph.convolution(inner, self.out_channels, groups=self.groups)
        return graph.add(inner, source) if self.residual else inner


@dataclass(frozen=True, slots=True)
class Skip(TwoWidths):
    """FBNet's skip: the identity where shapes allow, else a strided 1x1 convolution with relu."""

    kind: ClassVar[str] = "skip"

    stride: int

    @property
    def is_nothing(self) -> bool:
        """The identity is nothing."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def multiply_accumulates(self) -> int:
        """Of the convolution, if there is one."""
        out_area = strided(self._area, self.height, self.width, self.stride)
        return 0 if self.is_nothing else out_area * self.in_channels * self.out_channels

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """The source itself, or a convolution."""
        if self.is_nothing:
            return source
        return graph.convolution(source, self.out_channels, stride=self.stride, activation="relu")


@dataclass(frozen=True, slots=True)
class Identity(OneWidth):
    """Nothing: its output is its input."""

    kind: ClassVar[str] = "identity"

    @property
    def is_nothing(self) -> bool:
        return True

    @property
    def multiply_accumulates(self) -> int:
        return 0

    def append(self, graph: Graph, source: Tensor) -> Tensor:  # noqa: ARG002 - as every operator
        """The source itself."""
        return source


@dataclass(frozen=True, slots=True)
class Nothing(OneWidth):
    """`none` of NAS-Bench-201: an edge that is not there."""

    kind: ClassVar[str] = "none"

    @property
    def is_nothing(self) -> bool:
        return True

    @property
    def multiply_accumulates(self) -> int:
        return 0

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """A tensor of zeros, where one must be there."""
        return graph.zero(source)


@dataclass(frozen=True, slots=True)
class ReluConvBN(TwoWidths):
    """ReLU, convolution, normalisation: NAS-Bench-201's order."""

    kind: ClassVar[str] = "relu-conv-bn"

    kernel: int
    stride: int

    @property
    def multiply_accumulates(self) -> int:
        """Of the convolution."""
        out_area = strided(self._area, self.height, self.width, self.stride)
        return out_area * self.kernel**2 * self.in_channels * self.out_channels

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """An activation, then a convolution."""
        return graph.convolution(graph.activation(source, "relu"), self.out_channels, kernel=self.kernel, stride=self.stride)


@dataclass(frozen=True, slots=True)
class Reduction(TwoWidths):
    """NAS-Bench-201's residual block between stages: two 3x3, the first at stride 2; 2x2 pool and 1x1 beside."""

    kind: ClassVar[str] = "reduction"

    @property
    def multiply_accumulates(self) -> int:
        """Of the three convolutions."""
        out_area = strided(self._area, self.height, self.width, 2)
        return out_area * self.out_channels * (9 * self.in_channels + 9 * self.out_channels + self.in_channels)

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """Both paths and their sum."""
        main = ReluConvBN(self.height, self.width, self.in_channels, self.out_channels, 3, 2).append(graph, source)
        height, width = main.shape[2:]
        main = ReluConvBN(height, width, self.out_channels, self.out_channels, 3, 1).append(graph, main)
        beside = graph.convolution(graph.average_pool(source, kernel=2, stride=2), self.out_channels)
        return graph.add(main, beside)


@dataclass(frozen=True, slots=True)
class Pool(OneWidth):
    """Average or largest of a window; what is padded does not count."""

    kernel: int
    stride: int

    @property
    def multiply_accumulates(self) -> int:
        """One for each element of each window."""
        return strided(self._area, self.height, self.width, self.stride) * self.channels * self.kernel**2


@dataclass(frozen=True, slots=True)
class AvgPool(Pool):
    """Average of a window."""

    kind: ClassVar[str] = "avgpool"

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.average_pool(source, kernel=self.kernel, stride=self.stride)


@dataclass(frozen=True, slots=True)
class MaxPool(Pool):
    """Largest of a window."""

    kind: ClassVar[str] = "maxpool"

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.max_pool(source, kernel=self.kernel, stride=self.stride)


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(OneWidth):
    """The mean of each channel."""

    kind: ClassVar[str] = "gap"

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.global_average_pool(source)


@dataclass(frozen=True, slots=True)
class BNAct(OneWidth):
    """Normalisation and activation behind no convolution."""

    kind: ClassVar[str] = "bn-act"

    activation: Activation

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """One scale and shift."""
        return graph.scale_shift(source, activation=self.activation)


@dataclass(frozen=True, slots=True)
class Act(OneWidth):
    """An activation by itself."""

    kind: ClassVar[str] = "act"

    activation: Activation

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.activation(source, self.activation)


@dataclass(frozen=True, slots=True)
class Add(OneWidth):
    """The sum of two tensors.  Measured by itself it adds its input to itself: a model of one input."""

    kind: ClassVar[str] = "add"

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.add(source, source)


@dataclass(frozen=True, slots=True)
class FullyConnected(TwoWidths):
    """A matrix product; height and width are 1."""

    kind: ClassVar[str] = "fc"

    activation: Activation

    @property
    def multiply_accumulates(self) -> int:
        """One for each weight."""
        return self.in_channels * self.out_channels

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        return graph.fully_connected(source, self.out_channels, activation=self.activation)


def strided(area: int, height: int, width: int, stride: int) -> int:
    """How many output elements a SAME-padded window has in one channel."""
    return area if stride == 1 else -(-height // stride) * -(-width // stride)


def divisible(value: int, divisor: int) -> int:
    """The nearest multiple of divisor that is not below 90 % of value (MobileNet's rule)."""
    nearest = max(divisor, (value + divisor // 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


def halved(size: int, stride: int) -> int:
    """The output size of a SAME-padded window: size / stride, rounded up."""
    return -(-size // stride)
