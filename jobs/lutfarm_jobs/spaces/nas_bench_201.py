"""NAS-Bench-201 (Dong and Yang, ICLR 2020): one cell of four nodes, repeated five times in each of three stages.

A prediction prunes what nothing reaches: an edge counts only if its source can be reached from the cell's
input and its target reaches the cell's output.  Sums of edges are priced as additions, which the published
tables leave out; so are the multiplications of a cell that is cut off and gives zeros.

Several edges leave a node, so a runtime computes less than the edges say: equal poolings and activations of one node
once, or an activation or addition not at all, because the node before it does it along.  `under` gives the space in a
runtime's operators: convolutions without the activation before them, and the activations, poolings and additions that are left.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.executed import executed
from lutfarm_jobs.graphs.graph import Graph, Tensor
from lutfarm_jobs.measurement_key import network_name
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.kinds import (
    Act,
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
from lutfarm_jobs.runtimes import RUNTIMES, Fusion
from lutfarm_jobs.spaces.base import Choice, Layer

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), in the order of the string
DATASETS = {"cifar10": (32, 10), "cifar100": (32, 100), "imagenet16-120": (16, 120)}  # input size, classes
WIDTHS = (16, 32, 64)
CELLS = 5
OUTPUT = 3


@dataclass(frozen=True, slots=True)
class NasBench201:
    """The space of one dataset.  An architecture has one operation for each of the six edges.

    `rules`: in the operators that a runtime of these computes; see `under`.
    """

    dataset: str
    rules: Fusion | None = None

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
            Layer(
                f"edge{source}-{target}",
                tuple(
                    Choice(
                        name,
                        tuple(
                            (operator, CELLS)
                            for stage in self._stages
                            for operator in _parts(name, *stage, apart=self.rules is not None)
                        ),
                    )
                    for name in OPERATIONS
                ),
            )
            for source, target in EDGES
        )

    @property
    def fixed(self) -> tuple[tuple[Operator, int], ...]:
        """Stem, two reductions, last activation (unless it may be merged), pool and classifier."""
        every = self._trunk
        return tuple((operator, 1) for operator in every if not (self.rules and isinstance(operator, BNAct)))

    @property
    def _trunk(self) -> tuple[Operator, ...]:
        size, classes = DATASETS[self.dataset]
        last = size // 4
        return (
            Conv(size, size, 3, 16, 3, 1, 1, "none"),
            Reduction(size, size, 16, 32),
            Reduction(size // 2, size // 2, 32, 64),
            BNAct(last, last, 64, "relu"),
            GlobalAvgPool(last, last, 64),
            FullyConnected(1, 1, 64, classes, "none"),
        )

    def operators(self) -> tuple[Operator, ...]:
        """21: five operations in three stages, and the fixed ones."""
        cells = (_operation(name, *stage) for stage in self._stages for name in OPERATIONS)
        return (*cells, *self._trunk)

    def under(self, runtime: str) -> NasBench201:
        """With that runtime's rules, where they are known."""
        known = RUNTIMES.find(runtime)
        return replace(self, rules=known.fusion if known else None)

    def extras(self) -> tuple[Operator, ...]:
        """The node addition of each stage; with `rules` its convolutions and activation alone, and the last, too."""
        alone = ("nor_conv_1x1", "nor_conv_3x3") if self.rules else ()
        last = (operator for operator in self._trunk if isinstance(operator, BNAct) and self.rules is not None)
        return tuple(
            dict.fromkeys(
                (
                    *(
                        operator
                        for stage in self._stages
                        for operator in (
                            *(part for name in alone for part in _parts(name, *stage, apart=True)),
                            Add(*_square(*stage)),
                        )
                    ),
                    *last,
                )
            )
        )

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
        counts: Counter[Operator] = Counter(dict(self.fixed))
        if self.rules:
            return counts + self._computed(live, self.rules)
        for stage in self._stages:
            if not live:  # a cell of zeros multiplies: as good as an addition
                counts[Add(*_square(*stage))] += CELLS
            for target in range(1, OUTPUT + 1):
                into = [name for (_, end), name in live.items() if end == target]
                for name in into:
                    counts[_operation(name, *stage)] += CELLS
                if len(into) > 1:
                    counts[Add(*_square(*stage))] += CELLS * (len(into) - 1)
        return counts

    def _computed(self, live: Mapping[tuple[int, int], str], rules: Fusion) -> Counter[Operator]:
        """What the cells and the last activation come to."""
        cells, last = _executed(tuple(live.items()), rules)
        counts: Counter[Operator] = Counter(
            {_node(kind, kernel, *stage): count for stage in self._stages for (kind, kernel), count in cells}
        )
        counts.update(operator for operator in self._trunk if isinstance(operator, BNAct) and last)
        return counts

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
            raise SpecError(f"{self.name}: {text[:120]!r} is no architecture; |op~0|+|op~0|op~1|+|op~0|op~1|op~2| is needed")
        for name in match.groups():
            if name not in OPERATIONS:
                raise SpecError(f"{self.name}: unknown operation {name!r}; known: {', '.join(OPERATIONS)}")
        return tuple(OPERATIONS.index(name) for name in match.groups())

    def format(self, arch: Sequence[int]) -> str:
        names = iter(OPERATIONS[index] for index in self.check(arch))
        return "+".join("|" + "".join(f"{next(names)}~{source}|" for source in range(target)) for target in (1, 2, 3))

    def network(self, arch: Sequence[int]) -> Graph:
        """The whole network, pruned as the prediction is; a cell that is cut off gives zeros."""
        live = live_edges(self.check(arch))
        size = DATASETS[self.dataset][0]
        graph = Graph(network_name(self.name, self.format(arch)), (1, 3, size, size))
        stem, first, second, *tail = self._trunk
        tensor = stem.append(graph, graph.input)
        graph.label(stem.key)
        for stage, between in zip(self._stages, (first, second, None), strict=True):
            for _ in range(CELLS):
                tensor = _cell(graph, tensor, live, stage, apart=self.rules is not None)
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
    for source, target in EDGES:  # in the order of the nodes, so once is enough
        if source in reached and (source, target) in there:
            reached.add(target)
    for source, target in reversed(EDGES):
        if target in reaching and (source, target) in there:
            reaching.add(source)
    return {(s, t): name for (s, t), name in there.items() if s in reached and t in reaching}


def _cell(
    graph: Graph, source: Tensor, live: Mapping[tuple[int, int], str], stage: tuple[int, int], *, apart: bool = False
) -> Tensor:
    nodes: dict[int, Tensor] = {0: source}
    for target in range(1, OUTPUT + 1):
        for (start, end), name in live.items():
            if end == target:
                arriving = nodes[start]
                for operator in _parts(name, *stage, apart=apart):
                    arriving = operator.append(graph, arriving)
                    graph.label(operator.key)
                nodes[target] = graph.add(nodes[target], arriving) if target in nodes else arriving
                graph.label(Add(*_square(*stage)).key)
    output = nodes[OUTPUT] if OUTPUT in nodes else graph.zero(source)
    graph.label(Add(*_square(*stage)).key)
    return output


def _square(size: int, width: int) -> tuple[int, int, int]:
    return size, size, width


def _parts(name: str, size: int, width: int, *, apart: bool) -> tuple[Operator, ...]:
    """An operation's operators: its activation apart where several edges may share it."""
    operator = _operation(name, size, width)
    if not (apart and isinstance(operator, ReluConvBN)):
        return (operator,)
    return _node("activation", 1, size, width), _node("convolution", operator.kernel, size, width)


def _node(kind: str, kernel: int, size: int, width: int) -> Operator:
    """One node of a cell; a cell that is cut off multiplies by zero, which is as good as an addition."""
    if kind == "activation":
        return Act(size, size, width, "relu")
    if kind == "average_pool":
        return AvgPool(size, size, width, kernel, 1)
    return Add(size, size, width) if kind in ("add", "zero") else Conv(size, size, width, width, kernel, 1, 1, "none")


@lru_cache(maxsize=32_768)
def _executed(
    live: tuple[tuple[tuple[int, int], str], ...], rules: Fusion
) -> tuple[tuple[tuple[tuple[str, int], int], ...], bool]:
    """By kind and kernel how many nodes of the five cells of a stage are computed; and whether the last activation is.

    The first cell of a stage comes behind a convolution (a reduction's does a sum along), each other behind one like itself.
    """
    graph = Graph("two cells", (1, 4, 16, 16))
    source = Reduction(16, 16, 4, 8).append(graph, graph.input)
    first = len(graph.nodes)
    middle = _cell(graph, source, dict(live), (8, 8))
    half = len(graph.nodes)
    graph.finish(graph.scale_shift(_cell(graph, middle, dict(live), (8, 8)), activation="relu"))
    end = len(graph.nodes) - 1
    left = executed(graph, rules)
    counts: Counter[tuple[str, int]] = Counter()
    for at in left:
        node = graph.nodes[at]
        if first <= at < end:
            counts[node.kind, node.kernel] += 1 if at < half else CELLS - 1
    return tuple(counts.items()), end in left
