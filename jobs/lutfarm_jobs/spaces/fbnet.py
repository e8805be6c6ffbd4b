"""FBNet (Wu et al., CVPR 2019, table 1), at 224 x 224 and, as HW-NAS-Bench has it, at 32 x 32."""

from __future__ import annotations

from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import Conv, FullyConnected, GlobalAvgPool, MBConv, Skip
from lutfarm_jobs.spaces.layered import LayeredSpace, Position

# name: kernel, expansion, groups; the order is that of the published index lists, `skip` last
BLOCKS = {
    "k3_e1": (3, 1, 1),
    "k3_e1_g2": (3, 1, 2),
    "k3_e3": (3, 3, 1),
    "k3_e6": (3, 6, 1),
    "k5_e1": (5, 1, 1),
    "k5_e1_g2": (5, 1, 2),
    "k5_e3": (5, 3, 1),
    "k5_e6": (5, 6, 1),
}
STAGES = ((16, 1), (24, 4), (32, 4), (64, 4), (112, 4), (184, 4), (352, 1))  # channels, layers
# resolution: stem stride, stage strides, head channels, classes
INPUTS = {224: (2, (1, 2, 2, 2, 1, 2, 1), 1984, 1000), 32: (1, (1, 1, 2, 2, 1, 2, 1), 1504, 100)}


def space(resolution: int) -> LayeredSpace:
    """The space at 224 (ImageNet) or 32 (CIFAR-100)."""
    stem_stride, strides, head_channels, classes = INPUTS[resolution]
    size = resolution // stem_stride
    positions: list[Position] = []
    channels = 16
    for stage, ((width, layers), stage_stride) in enumerate(zip(STAGES, strides, strict=True), start=1):
        for layer in range(layers):
            stride = stage_stride if layer == 0 else 1
            positions.append(Position(f"stage{stage}.{layer}", _choices(size, channels, width, stride)))
            size, channels = size // stride, width
    return LayeredSpace(
        name=f"fbnet-{resolution}",
        input_shape=(1, 3, resolution, resolution),
        head=(Conv(resolution, resolution, 3, 16, 3, stem_stride, 1, "relu"),),
        positions=tuple(positions),
        tail=(
            Conv(size, size, channels, head_channels, 1, 1, 1, "relu"),
            GlobalAvgPool(size, size, head_channels),
            FullyConnected(1, 1, head_channels, classes, "none"),
        ),
    )


def _choices(size: int, channels: int, width: int, stride: int) -> tuple[tuple[str, Operator], ...]:
    residual = int(stride == 1 and channels == width)
    blocks: list[tuple[str, Operator]] = [
        (name, MBConv(size, size, channels, width, channels * e, kernel, stride, groups, 1, 0, residual, "relu"))
        for name, (kernel, e, groups) in BLOCKS.items()
    ]
    return (*blocks, ("skip", Skip(size, size, channels, width, stride)))
