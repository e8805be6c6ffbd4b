"""A space whose networks are a chain: a head, one choice for each layer, a tail."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.measurement_key import network_name
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.base import Architecture, Choice, Layer

LONGEST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Position:
    """A layer of a chain: choices by name, one operator each."""

    name: str
    choices: tuple[tuple[str, Operator], ...]

    def index(self, text: str) -> int:
        """The choice of that name, or of that number; -1 where there is none."""
        names = [name for name, _ in self.choices]
        if text in names:
            return names.index(text)
        return int(text) if text.isdecimal() and text.isascii() and len(text) < 6 and int(text) < len(names) else -1


def nothing_more(_: Sequence[int]) -> str:
    """The rule of a space whose layers don't depend on each other."""
    return ""


def uniform(dice: random.Random, positions: Sequence[Position]) -> Architecture:
    """Each layer uniform over its choices."""
    return tuple(dice.randrange(len(position.choices)) for position in positions)


@dataclass(frozen=True, slots=True)
class LayeredSpace:
    """An additive space.  `rule` says what is wrong with an architecture beyond its single choices, or ''.

    `unlisted` operators of head and tail are priced, but stand in no published table.
    """

    name: str
    input_shape: tuple[int, int, int, int]
    head: tuple[Operator, ...]
    positions: tuple[Position, ...]
    tail: tuple[Operator, ...]
    by_name: bool = False  # format writes choice names, not numbers
    unlisted: tuple[Operator, ...] = ()
    rule: Callable[[Sequence[int]], str] = nothing_more
    draw: Callable[[random.Random, Sequence[Position]], Architecture] = uniform

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(Layer(p.name, tuple(Choice(name, ((operator, 1),)) for name, operator in p.choices)) for p in self.positions)

    @property
    def fixed(self) -> tuple[tuple[Operator, int], ...]:
        return tuple(Counter((*self.head, *self.tail)).items())

    @property
    def additive(self) -> bool:
        """A chain's latencies add up."""
        return True

    def under(self, runtime: str) -> LayeredSpace:  # noqa: ARG002 - as every space
        """Itself: in a chain no two nodes are equal, and a block does along alone what it does in a network."""
        return self

    def operators(self) -> tuple[Operator, ...]:
        """The unique operators of the published tables, head first, then layer by layer, then the tail."""
        chosen = (operator for position in self.positions for name, operator in position.choices if name != ABSENT)
        every = dict.fromkeys((*self.head, *chosen, *self.tail))
        return tuple(operator for operator in every if operator not in self.unlisted)

    def extras(self) -> tuple[Operator, ...]:
        """Operators that a prediction prices and the published tables leave out."""
        return self.unlisted

    def check(self, arch: Sequence[int]) -> Architecture:
        """The architecture itself.  Raises SpecError naming the layer that is wrong."""
        if len(arch) != len(self.positions):
            raise SpecError(f"{self.name}: an architecture has {len(self.positions)} layers, this one {len(arch)}")
        for position, index in zip(self.positions, arch, strict=True):
            if not 0 <= index < len(position.choices):
                raise SpecError(f"{self.name}: layer {position.name} has choices 0 to {len(position.choices) - 1}, not {index}")
        if wrong := self.rule(arch):
            raise SpecError(f"{self.name}: {wrong}")
        return tuple(int(index) for index in arch)

    def composition(self, arch: Sequence[int]) -> Mapping[Operator, int]:
        """Which operators the network consists of, how often.  Raises SpecError."""
        return Counter(self._chain(self.check(arch)))

    def _chain(self, arch: Architecture) -> list[Operator]:
        chosen = (position.choices[index][1] for position, index in zip(self.positions, arch, strict=True))
        return [*self.head, *chosen, *self.tail]

    def random(self, seed: int, count: int) -> tuple[Architecture, ...]:
        dice = random.Random(f"{self.name}/{seed}")  # noqa: S311 - a draw that people repeat, not a secret
        return tuple(self.draw(dice, self.positions) for _ in range(count))

    def parse(self, text: str) -> Architecture:
        """From numbers or choice names with commas between (`0,3,8`), or a JSON list of them.  Raises SpecError."""
        if len(text) > LONGEST_TEXT:
            raise SpecError(f"{self.name}: too long for an architecture")
        stripped = text.strip()
        if stripped.startswith("["):
            try:
                parts = [str(part) for part in json.loads(stripped)]
            except (ValueError, RecursionError) as error:
                raise SpecError(f"{self.name}: {stripped[:80]!r} is no list") from error
        else:
            parts = [part.strip() for part in stripped.split(",")]
        if len(parts) != len(self.positions):
            raise SpecError(f"{self.name}: an architecture has {len(self.positions)} layers, this one {len(parts)}")
        arch = tuple(position.index(part) for position, part in zip(self.positions, parts, strict=True))
        for position, index, part in zip(self.positions, arch, parts, strict=True):
            if index < 0:
                names = ", ".join(f"{at} = {name}" for at, (name, _) in enumerate(position.choices))
                raise SpecError(f"{self.name}: layer {position.name} has no choice {part[:40]!r}; it has {names}")
        return self.check(arch)

    def format(self, arch: Sequence[int]) -> str:
        checked = self.check(arch)
        if not self.by_name:
            return ",".join(map(str, checked))
        return ",".join(position.choices[index][0] for position, index in zip(self.positions, checked, strict=True))

    def network(self, arch: Sequence[int]) -> Graph:
        """The whole network, input to logits."""
        graph = Graph(network_name(self.name, self.format(arch)), self.input_shape)
        tensor = graph.input
        for operator in self._chain(self.check(arch)):
            tensor = operator.append(graph, tensor)
            graph.label(operator.key)
        return graph.finish(tensor)


ABSENT = "absent"
