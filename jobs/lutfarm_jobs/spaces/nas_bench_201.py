"""NAS-Bench-201 (Dong and Yang, ICLR 2020): one cell of four nodes, repeated five times in each of three stages.

A prediction prunes what nothing reaches: an edge counts only if its source can be reached from the cell's
input and its target reaches the cell's output.  Sums of edges are priced as additions, which the published
tables leave out.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.models.graph import Graph, Tensor
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import (
    Add,
    AvgPool,
    BNAct,
    Conv,
    FullyConnected,
    GlobalAvgPool,
    Identity,
    Nothing,
    Reduction,
    ReluConvBN,
)
from lutfarm_jobs.spaces.base import Choice, Layer

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))       # (source, target), in the order of the string
DATASETS = {"cifar10": (32, 10), "cifar100": (32, 100), "imagenet16-120": (16, 120)}  # input size, classes
WIDTHS = (16, 32, 64)
CELLS = 5
OUTPUT = 3


@dataclass(frozen=True, slots=True)
class NasBench201:
    """The space of one dataset.  An architecture has one operation for each of the six edges."""

    dataset: str

    @property
    def name(self) -> str:
        """For example `nas-bench-201-cifar10`."""
        return f"nas-bench-201-{self.dataset}"

    @property
    def additive(self) -> bool:
        """No: pruning and additions depend on the whole cell."""
        return False

    @property
    def _stages(self) -> list[tuple[int, int]]:
        size = DATASETS[self.dataset][0]
        return [(size >> stage, width) for stage, width in enumerate(WIDTHS)]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The edges; a choice's parts are its operators in all 15 cells, as if nothing were pruned."""
        return tuple(
            Layer(f"edge{source}-{target}", tuple(
                Choice(name, tuple((_operation(name, *stage), CELLS) for stage in self._stages))
                for name in OPERATIONS
            ))
            for source, target in EDGES
        )

    @property
    def fixed(self) -> tuple[tuple[Operator, int], ...]:
        """Stem, two reductions, last activation, pool and classifier."""
        size, classes = DATASETS[self.dataset]
        last = size // 4
        return (
            (Conv(size, size, 3, 16, 3, 1, 1, "none"), 1),
            (Reduction(size, size, 16, 32), 1),
            (Reduction(size // 2, size // 2, 32, 64), 1),
            (BNAct(last, last, 64, "relu"), 1),
            (GlobalAvgPool(last, last, 64), 1),
            (FullyConnected(1, 1, 64, classes, "none"), 1),
        )

    def operators(self) -> tuple[Operator, ...]:
        """21: five operations in three stages, and the fixed ones."""
        cells = (_operation(name, *stage) for stage in self._stages for name in OPERATIONS)
        return (*cells, *(operator for operator, _ in self.fixed))

    def extras(self) -> tuple[Operator, ...]:
        """The node addition of each stage."""
        return tuple(Add(size, size, width) for size, width in self._stages)

    def check(self, arch: Sequence[int]) -> tuple[int, ...]:
        """The architecture itself.  Raises SpecError naming the edge that is wrong."""
        if len(arch) != len(EDGES):
            raise SpecError(f"{self.name}: an architecture has {len(EDGES)} edges, this one {len(arch)}")
        for (source, target), index in zip(EDGES, arch, strict=True):
            if not 0 <= index < len(OPERATIONS):
                raise SpecError(f"{self.name}: edge{source}-{target} has operations 0 to 4, not {index}")
        return tuple(int(index) for index in arch)

    def composition(self, arch: Sequence[int]) -> Mapping[Operator, int]:
        """Which operators the network consists of, how often, pruned.  Raises SpecError."""
        live = live_edges(self.check(arch))
        found: Counter[Operator] = Counter(dict(self.fixed))
        for stage in self._stages:
            for target in range(1, OUTPUT + 1):
                into = [name for (_, end), name in live.items() if end == target]
                for name in into:
                    found[_operation(name, *stage)] += CELLS
                if len(into) > 1:
                    found[Add(stage[0], stage[0], stage[1])] += CELLS * (len(into) - 1)
        return found

    def random(self, seed: int, count: int) -> tuple[tuple[int, ...], ...]:
        """`count` architectures, each edge uniform over the operations; the same for the same seed."""
        dice = random.Random(f"{self.name}/{seed}")  # noqa: S311 - a draw that people repeat, not a secret
        return tuple(tuple(dice.randrange(len(OPERATIONS)) for _ in EDGES) for _ in range(count))

    def parse(self, text: str) -> tuple[int, ...]:
        """From `|nor_conv_3x3~0|+|none~0|none~1|+|...|`.  Raises SpecError."""
        pattern = r"\+".join(
            r"\|" + "".join(rf"([a-z0-9_]{{1,20}})~{source}\|" for source in range(target)) for target in (1, 2, 3)
        )
        match = re.fullmatch(pattern, text.strip(), re.ASCII)
        if match is None:
            raise SpecError(
                f"{self.name}: {text[:120]!r} is no architecture; "
                "|op~0|+|op~0|op~1|+|op~0|op~1|op~2| is needed"
            )
        for name in match.groups():
            if name not in OPERATIONS:
                raise SpecError(f"{self.name}: unknown operation {name!r}; known: {', '.join(OPERATIONS)}")
        return tuple(OPERATIONS.index(name) for name in match.groups())

    def format(self, arch: Sequence[int]) -> str:
        """The inverse of parse."""
        names = iter(OPERATIONS[index] for index in self.check(arch))
        return "+".join(
            "|" + "".join(f"{next(names)}~{source}|" for source in range(target)) for target in (1, 2, 3)
        )

    def network(self, arch: Sequence[int]) -> Graph:
        """The whole network, pruned as the prediction is; a cell that is cut off gives zeros."""
        live = live_edges(self.check(arch))
        size = DATASETS[self.dataset][0]
        graph = Graph(f"{self.name}:{self.format(arch)}", (1, 3, size, size))
        stem, first, second, *tail = (operator for operator, _ in self.fixed)
        tensor = stem.append(graph, graph.input)
        graph.label(stem.key)
        for stage, between in zip(self._stages, (first, second, None), strict=True):
            for _ in range(CELLS):
                tensor = _cell(graph, tensor, live, stage)
            if between:
                tensor = between.append(graph, tensor)
                graph.label(between.key)
        for operator in tail:
            tensor = operator.append(graph, tensor)
            graph.label(operator.key)
        return graph.finish(tensor)


def _operation(name: str, size: int, width: int) -> Operator:
    if name == "none":
        return Nothing(size, size, width)
    if name == "skip_connect":
        return Identity(size, size, width)
    if name == "avg_pool_3x3":
        return AvgPool(size, size, width, 3, 1)
    return ReluConvBN(size, size, width, width, int(name[-1]), 1)


def live_edges(arch: Sequence[int]) -> Mapping[tuple[int, int], str]:
    """The operations of the edges that lie on a way from the input to the output."""
    there = {edge: OPERATIONS[index] for edge, index in zip(EDGES, arch, strict=True) if OPERATIONS[index] != "none"}
    reached, reaching = {0}, {OUTPUT}
    for source, target in EDGES:                   # in the order of the nodes, so once is enough
        if source in reached and (source, target) in there:
            reached.add(target)
    for source, target in reversed(EDGES):
        if target in reaching and (source, target) in there:
            reaching.add(source)
    return {(s, t): name for (s, t), name in there.items() if s in reached and t in reaching}


def _cell(graph: Graph, source: Tensor, live: Mapping[tuple[int, int], str], stage: tuple[int, int]) -> Tensor:
    nodes: dict[int, Tensor] = {0: source}
    for target in range(1, OUTPUT + 1):
        for (start, end), name in live.items():
            if end == target:
                operator = _operation(name, *stage)
                arriving = operator.append(graph, nodes[start])
                graph.label(operator.key)
                nodes[target] = graph.add(nodes[target], arriving) if target in nodes else arriving
                graph.label(Add(stage[0], stage[0], stage[1]).key)
    output = nodes[OUTPUT] if OUTPUT in nodes else graph.zero(source)
    graph.label("")
    return output
