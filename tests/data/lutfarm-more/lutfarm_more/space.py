"""A search space of two layers, whose choices are kernels."""

from lutfarm_jobs.operators.kinds import Conv, FullyConnected, GlobalAvgPool
from lutfarm_jobs.spaces import KnownSpace
from lutfarm_jobs.spaces.layered import LayeredSpace, Position


def two_layers() -> LayeredSpace:
    """Four networks."""
    kernels = tuple((f"k{kernel}", Conv(16, 16, 8, 8, kernel, 1, 1, "relu")) for kernel in (1, 3))
    return LayeredSpace(
        name="two-layers",
        input_shape=(1, 8, 16, 16),
        head=(),
        positions=(Position("first", kernels), Position("second", kernels)),
        tail=(GlobalAvgPool(16, 16, 8), FullyConnected(1, 1, 8, 10, "none")),
    )


SPACE = KnownSpace(two_layers)
