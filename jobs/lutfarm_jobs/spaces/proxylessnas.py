"""ProxylessNAS (Cai et al., ICLR 2019), the mobile space at 224 x 224."""

from __future__ import annotations

from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import Conv, FullyConnected, GlobalAvgPool, Identity, MBConv
from lutfarm_jobs.spaces.layered import ABSENT, LayeredSpace, Position

STAGES = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))  # channels, layers, stride
BLOCKS = {f"k{kernel}_e{ratio}": (kernel, ratio) for kernel in (3, 5, 7) for ratio in (3, 6)}
ACTIVATION = "relu6"


def space(resolution: int = 224) -> LayeredSpace:
    """The space; where a layer keeps its shape it has a seventh choice, to be absent."""
    size, channels = resolution // 2, 16
    positions: list[Position] = []
    for stage, (width, layers, stage_stride) in enumerate(STAGES, start=1):
        for layer in range(layers):
            stride = stage_stride if layer == 0 else 1
            positions.append(Position(f"stage{stage}.{layer}", _choices(size, channels, width, stride)))
            size, channels = size // stride, width
    pool = GlobalAvgPool(size, size, 1280)
    return LayeredSpace(
        name=f"proxylessnas-{resolution}",
        input_shape=(1, 3, resolution, resolution),
        head=(
            Conv(resolution, resolution, 3, 32, 3, 2, 1, ACTIVATION),
            MBConv(resolution // 2, resolution // 2, 32, 16, 32, 3, 1, 1, 0, 0, 0, ACTIVATION),
        ),
        positions=tuple(positions),
        tail=(Conv(size, size, channels, 1280, 1, 1, 1, ACTIVATION), pool, FullyConnected(1, 1, 1280, 1000, "none")),
        by_name=True,
        unlisted=(pool,),  # every network has it; the published table has no key for it
    )


def _choices(size: int, channels: int, width: int, stride: int) -> tuple[tuple[str, Operator], ...]:
    keeps = stride == 1 and channels == width
    blocks: list[tuple[str, Operator]] = [
        (name, MBConv(size, size, channels, width, channels * ratio, kernel, stride, 1, 1, 0, int(keeps), ACTIVATION))
        for name, (kernel, ratio) in BLOCKS.items()
    ]
    return (*blocks, (ABSENT, Identity(size, size, channels))) if keeps else tuple(blocks)
