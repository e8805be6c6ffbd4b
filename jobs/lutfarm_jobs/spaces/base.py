"""What a search space is: layers, choices, and the operators that each choice means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.operators.base import Operator

Architecture = tuple[int, ...]
"""A network of a space: one choice index per layer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a layer: `parts` are the operators whose latencies it adds to a network.

    An operator may count more than once (NAS-Bench-201 repeats an edge in five cells of each stage).
    An operator that is nothing by structure (identity, `none`) is listed too: its entry is zero.
    """

    name: str
    parts: tuple[tuple[Operator, int], ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One searchable position."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class KnownSpace:
    """A space that jobs name: made when one does, and its name is the one that it is known by."""

    make: Callable[[], Space]


class Space(Protocol):
    """A NAS search space."""

    @property
    def name(self) -> str:
        """As a job names it: `fbnet-224`, `nas-bench-201-cifar10`, `ofa-mbv3-w1.2-224`."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The searchable positions, in order."""
        ...

    @property
    def fixed(self) -> tuple[tuple[Operator, int], ...]:
        """Operators that every network has, with how often."""
        ...

    @property
    def additive(self) -> bool:
        """True where composition(arch) is `fixed` plus the parts of the chosen choices, nothing else."""
        ...

    def operators(self) -> tuple[Operator, ...]:
        """The unique operators of the published tables, in a stable order, zero entries included."""
        ...

    def under(self, runtime: str) -> Space:
        """The same space in the operators that this runtime really computes; mostly itself.

        A runtime that computes equal nodes once, or one node along with another, makes a network less than the sum of its
        choices (lutfarm_jobs.graphs.executed).  `composition`, `extras`, `layers`, `fixed` and the labels of `network`
        differ, and nothing else.
        """
        ...

    def extras(self) -> tuple[Operator, ...]:
        """Operators that a prediction prices and the published tables leave out (node additions)."""
        ...

    def composition(self, arch: Sequence[int]) -> Mapping[Operator, int]:
        """Which operators the network consists of, how often: pruned where nothing reaches.

        Raises SpecError for an architecture that is not of this space, naming the layer.
        """
        ...

    def random(self, seed: int, count: int) -> tuple[tuple[int, ...], ...]:
        """`count` architectures, each layer uniform over its choices; the same for the same seed."""
        ...

    def parse(self, text: str) -> tuple[int, ...]:
        """An architecture from the encoding that people already use; SpecError says what is wrong where."""
        ...

    def format(self, arch: Sequence[int]) -> str:
        """The inverse of parse."""
        ...

    def network(self, arch: Sequence[int]) -> Graph:
        """The whole network as one graph, input to logits."""
        ...
