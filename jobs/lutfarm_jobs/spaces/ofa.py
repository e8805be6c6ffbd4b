"""Once-for-all MobileNetV3 (Cai et al., ICLR 2020): elastic kernel, expansion and depth, 25 resolutions."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Activation
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import Conv, FullyConnected, GlobalAvgPool, Identity, MBConv, halved
from lutfarm_jobs.spaces.base import Architecture
from lutfarm_jobs.spaces.layered import ABSENT, LayeredSpace, Position

RESOLUTIONS = range(128, 225, 4)
# stem, first block, five stages, last expansion, feature mix
WIDTHS = {"w1.0": (16, 16, 24, 40, 80, 112, 160, 960, 1280), "w1.2": (24, 24, 32, 48, 96, 136, 192, 1152, 1536)}
STAGES: tuple[tuple[int, int, Activation], ...] = (  # stride, squeeze-excite, activation
    (2, 0, "relu"),
    (2, 1, "relu"),
    (2, 0, "h_swish"),
    (1, 1, "h_swish"),
    (2, 1, "h_swish"),
)
BLOCKS = {f"k{kernel}_e{ratio}": (kernel, ratio) for kernel in (3, 5, 7) for ratio in (3, 4, 6)}
SLOTS = 4  # of a stage; the last two may be absent


class OfaSpace(LayeredSpace):
    """A chain that also reads the dictionaries of the once-for-all code: `{"ks": ..., "e": ..., "d": ...}`."""

    __slots__ = ()

    def parse(self, text: str) -> Architecture:
        """As any chain, or from the dictionary with 20 kernels, 20 expansions and 5 depths as JSON."""
        if text.lstrip().startswith("{"):
            return self.check(_from_dictionary(self.name, text))
        return LayeredSpace.parse(self, text)


def space(width: str, resolution: int) -> LayeredSpace:
    """The space at one width (`w1.0`, `w1.2`) and one resolution."""
    stem, first, *stages, last, mixed = WIDTHS[width]
    size, channels = halved(resolution, 2), first
    stem_size = size
    positions: list[Position] = []
    for stage, (out_channels, settings) in enumerate(zip(stages, STAGES, strict=True), start=1):
        for slot in range(SLOTS):
            stride = settings[0] if slot == 0 else 1
            positions.append(Position(f"stage{stage}.{slot}", _choices(size, channels, out_channels, stride, slot, settings)))
            size, channels = halved(size, stride), out_channels
    return OfaSpace(
        name=f"ofa-mbv3-{width}-{resolution}",
        input_shape=(1, 3, resolution, resolution),
        head=(
            Conv(resolution, resolution, 3, stem, 3, 2, 1, "h_swish"),
            MBConv(stem_size, stem_size, stem, first, stem, 3, 1, 1, 0, 0, int(stem == first), "relu"),
        ),
        positions=tuple(positions),
        tail=(
            Conv(size, size, channels, last, 1, 1, 1, "h_swish"),
            GlobalAvgPool(size, size, last),
            Conv(1, 1, last, mixed, 1, 1, 1, "h_swish"),
            FullyConnected(1, 1, mixed, 1000, "none"),
        ),
        by_name=True,
        rule=_rule,
        draw=_draw,
    )


def _choices(
    size: int, channels: int, width: int, stride: int, slot: int, settings: tuple[int, int, Activation]
) -> tuple[tuple[str, Operator], ...]:
    _, squeezes, activation = settings
    residual = int(stride == 1 and channels == width)
    blocks: list[tuple[str, Operator]] = [
        (name, MBConv(size, size, channels, width, channels * e, kernel, stride, 1, 1, squeezes, residual, activation))
        for name, (kernel, e) in BLOCKS.items()
    ]
    return (*blocks, (ABSENT, Identity(size, size, channels))) if slot >= 2 else tuple(blocks)


def _rule(arch: Sequence[int]) -> str:
    for stage in range(len(STAGES)):
        third, fourth = arch[stage * SLOTS + 2 : stage * SLOTS + 4]
        if third == len(BLOCKS) and fourth != len(BLOCKS):
            return f"stage{stage + 1}.3 must be absent where stage{stage + 1}.2 is"
    return ""


def _draw(dice: random.Random, positions: Sequence[Position]) -> Architecture:
    """Depth uniform over 2, 3, 4; then each block that is there uniform over its nine."""
    arch: list[int] = []
    for _ in range(len(positions) // SLOTS):
        depth = dice.choice((2, 3, 4))
        arch += [dice.randrange(len(BLOCKS)) if slot < depth else len(BLOCKS) for slot in range(SLOTS)]
    return tuple(arch)


def _from_dictionary(name: str, text: str) -> Architecture:
    try:
        content = json.loads(text)
        kernels, ratios, depths = content["ks"], content["e"], content["d"]
        slots = len(STAGES) * SLOTS
        if (len(kernels), len(ratios), len(depths)) != (slots, slots, len(STAGES)):
            raise SpecError(f"{name}: ks and e have {slots} numbers, d has {len(STAGES)}")
        names = list(BLOCKS)
        return tuple(
            names.index(f"k{kernels[at]}_e{ratios[at]}") if at % SLOTS < _depth(depths[at // SLOTS]) else len(names)
            for at in range(slots)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SpecError(
            f'{name}: {{"ks": [20 kernels], "e": [20 expansions], "d": [5 depths]}} is needed: {str(error)[:80]}'
        ) from error


def _depth(value: object) -> int:
    if value not in (2, 3, 4):
        raise ValueError(f"depth {str(value)[:20]!r} is none of 2, 3, 4")
    return int(value)  # type: ignore[call-overload]
