"""Random networks in which every choice of every layer occurs about equally often."""

from __future__ import annotations

import random
from collections import Counter

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.base import Space

TRIES = 30  # random networks to choose from, where layers depend on each other


def balanced(space: Space, seed: int, count: int) -> tuple[tuple[int, ...], ...]:
    """`count` different architectures, or as many as there are; the same for the same seed.

    Each layer goes through its choices in a new random order, so that each occurs equally often: a Latin hypercube
    (M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21 (1979) 239-245).  Where choices depend on each other
    (pruning, depths) what a network really consists of counts: of TRIES random networks the one that has most of the
    operators that were met least is taken.
    """
    return _latin(space, seed, count) if space.additive and _free(space, seed) else _greedy(space, seed, count)


def _free(space: Space, seed: int) -> bool:
    """Whether any combination of choices is a network."""
    try:
        for arch in _rows(space, random.Random(seed), 8):  # noqa: S311 - a draw that people repeat, not a secret
            space.composition(arch)
    except SpecError:
        return False
    return True


def _rows(space: Space, dice: random.Random, count: int) -> list[tuple[int, ...]]:
    columns: list[list[int]] = []
    for layer in space.layers:
        column: list[int] = []
        while len(column) < count:
            column += dice.sample(range(len(layer.choices)), len(layer.choices))
        column = column[:count]
        dice.shuffle(column)
        columns.append(column)
    return list(zip(*columns, strict=True))


def _latin(space: Space, seed: int, count: int) -> tuple[tuple[int, ...], ...]:
    dice = random.Random(f"{space.name}/{seed}/balanced")  # noqa: S311 - as above
    archs = dict.fromkeys(_rows(space, dice, count))
    for _ in range(TRIES):  # small spaces repeat themselves
        if len(archs) >= count:
            break
        archs |= dict.fromkeys(_rows(space, dice, count - len(archs)))
    return tuple(archs)[:count]


def _greedy(space: Space, seed: int, count: int) -> tuple[tuple[int, ...], ...]:
    met: Counter[Operator] = Counter()
    chosen: dict[tuple[int, ...], None] = {}
    candidates = list(space.random(seed, TRIES * count))
    for at in range(count):
        unseen = [arch for arch in candidates[TRIES * at : TRIES * (at + 1)] if arch not in chosen]
        if unseen:
            parts = {arch: [o for o in space.composition(arch) if not o.is_nothing] for arch in unseen}
            best = max(unseen, key=lambda arch: sum(1 / (1 + met[o]) ** 2 for o in parts[arch]))
            met.update(parts[best])
            chosen[best] = None
    return tuple(chosen)
