"""Draws networks over the whole range of their sizes.  Pure: the same seed and predictions, the same networks."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from lutfarm.lut.prediction.predict_many import IntArray
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Architecture, Space

PredictNs = Callable[[IntArray], FloatArray]  # rows of choice indices to ns; NaN where it can't be told

CANDIDATES_EACH = 50  # random ones for each that is wanted
CANDIDATES_LEAST = 500
CANDIDATES_MOST = 20_000


def draw(
    space: Space, predict_ns: PredictNs, counts: Sequence[int], *, seed: int, without: Collection[Architecture] = ()
) -> tuple[tuple[Architecture, ...], ...]:
    """For each count so many networks; none twice, none of `without`.

    Random networks crowd around one size.  So the range of predicted latencies of many random ones is cut into as many
    equal parts (of the logarithm) as networks are wanted, and each part gives one.  Raises SpecError where the space has
    too few networks that can be predicted.
    """
    dice = random.Random(f"{space.name}/{seed}/networks")  # noqa: S311 - a draw that people repeat, not a secret
    wanted = sum(counts)
    most = min(CANDIDATES_MOST, max(CANDIDATES_LEAST, CANDIDATES_EACH * wanted))
    candidates = list(_candidates(space, seed, most, frozenset(without)))
    predicted = predict_ns(np.array(candidates, dtype=np.int64)) if candidates else np.zeros(0)
    sizes = {arch: float(np.log(ns)) for arch, ns in zip(candidates, predicted, strict=True) if ns > 0}
    if len(sizes) < wanted:
        raise SpecError(
            f"{space.name}: {wanted} networks are wanted that the table has not seen and can predict; of {most} random "
            f"ones {len(sizes)} are; ask for fewer"
        )
    drawn: list[tuple[Architecture, ...]] = []
    for count in counts:
        drawn.append(_over_the_range(sizes, count, dice))
        for arch in drawn[-1]:
            del sizes[arch]
    return tuple(drawn)


def _candidates(space: Space, seed: int, most: int, without: Collection[Architecture]) -> Iterator[Architecture]:
    """Different networks, too: pruning makes one network of many architectures."""
    seen: set[object] = set()
    for arch in space.random(seed, most):
        known: object = arch if space.additive else frozenset(space.composition(arch).items())
        if known not in seen and arch not in without:
            seen.add(known)
            yield arch


def _over_the_range(sizes: dict[Architecture, float], count: int, dice: random.Random) -> tuple[Architecture, ...]:
    if count == 0:
        return ()
    low, high = min(sizes.values()), max(sizes.values())
    step = (high - low) / count
    parts: list[list[Architecture]] = [[] for _ in range(count)]
    for arch, size in sizes.items():
        parts[min(count - 1, int((size - low) / step)) if step else 0].append(arch)
    drawn = [dice.choice(part) if part else None for part in parts]
    left = set(sizes) - {arch for arch in drawn if arch}
    for at, arch in enumerate(drawn):
        if arch is None:  # no candidate is of this size: the nearest that is left
            middle = low + (at + 0.5) * step
            nearest = min(left, key=lambda other: (abs(sizes[other] - middle), other))
            left.discard(nearest)
            drawn[at] = nearest
    return tuple(arch for arch in drawn if arch is not None)
