"""The operators of a .tflite file, taken apart into steps (`flow`), read without a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lutfarm_jobs.feeds.flow import Flat, Step
from lutfarm_jobs.feeds.tflite_deciding import ALL, CHANCE, CUT, DECIDING, DETECTION, NAMES
from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.info import ModelInput
from lutfarm_jobs.models.tflite.reader import Table, root

_BRANCHES = {"IF": (0, 1), "WHILE": (0, 1), "CALL": (0,), "STABLEHLO_WHILE": (0, 1)}  # slots of the options that name graphs


def flatten(content: memoryview, inputs: Sequence[ModelInput]) -> Flat:
    """The steps of a model.  Raises Malformed for what is no usable one."""
    del inputs  # they are those of the first graph
    model = root(content, Budget())
    return _Flattening(model).flat


class _Flattening:
    """Each graph is taken apart once, whoever calls it: what its callers put in flows together."""

    def __init__(self, model: Table) -> None:
        self.flat = Flat()
        self._codes = [_code(code) for code in model.tables(1)]
        self._graphs = list(model.tables(2))
        self._first: list[int] = []  # the number of each graph's first tensor
        self._counts: list[int] = []
        for graph in self._graphs:
            self._number(graph)
        self.flat.inputs = self._ends(0, 1)
        self.flat.outputs = self._ends(0, 2)
        for index, graph in enumerate(self._graphs):
            for operator in graph.tables(3):
                self._step(index, operator)

    def _number(self, graph: Table) -> None:
        self._first.append(self.flat.tensors)
        for tensor in graph.tables(0):
            shape = tensor.integers(0, "<i")
            self.flat.shapes[self.flat.tensor()] = tuple(size if size >= 0 else None for size in shape)
        self._counts.append(self.flat.tensors - self._first[-1])

    def _ends(self, graph: int, slot: int) -> list[int]:
        """What goes into a graph (slot 1) or comes out of it (2)."""
        if not 0 <= graph < len(self._graphs):
            raise Malformed(f"an operator calls its graph {graph}, and it has {len(self._graphs)}")
        return [self._tensor(graph, index) for index in self._graphs[graph].integers(slot, "<i")]

    def _tensor(self, graph: int, index: int) -> int:
        if index < 0:
            return -1
        if index >= self._counts[graph]:
            raise Malformed(f"it uses a tensor that is not among its {self._counts[graph]}")
        return self._first[graph] + index

    def _step(self, graph: int, operator: Table) -> None:
        index = operator.integer(0, "<I")
        kind, custom = self._codes[index] if index < len(self._codes) else ("", "")
        inputs = tuple(self._tensor(graph, one) for one in operator.integers(1, "<i"))
        outputs = tuple(self._tensor(graph, one) for one in operator.integers(2, "<i"))
        if kind in _BRANCHES:
            options = operator.table(12 if kind.startswith("STABLEHLO") else 4)
            graphs = [0 if options is None else options.integer(slot, "<i") for slot in _BRANCHES[kind]]
            self._controlled(kind, graphs, inputs, outputs)
            return
        if kind == "STABLEHLO_CASE":
            self.flat.add(Step(kind, inputs, outputs, frozenset({0})))
            return
        deciding = ALL if custom in DETECTION else DECIDING.get(kind, frozenset[int]())
        options = operator.table(4) if kind == "GATHER" else None
        self.flat.add(
            Step(
                custom or kind,
                inputs,
                outputs,
                deciding,
                cut=kind in CUT,
                chance=kind in CHANCE,
                axis=0 if options is None else options.integer(0, "<i"),
            )
        )

    def _controlled(self, kind: str, graphs: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> None:
        for source, target in self._pairs(kind, graphs, inputs, outputs):
            self.flat.flow(source, target)
        conditions = tuple(inputs[:1]) if kind == "IF" else tuple(self._ends(graphs[0], 2)) if kind.endswith("WHILE") else ()
        self.flat.add(Step(kind, conditions, tuple(outputs) if conditions else (), frozenset(range(len(conditions)))))

    def _pairs(
        self, kind: str, graphs: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        fed = inputs[1:] if kind == "IF" else inputs
        for graph in graphs:
            yield from zip(fed, self._ends(graph, 1), strict=False)
        if kind.endswith("WHILE"):
            condition, body = graphs
            carried = self._ends(body, 2)
            yield from zip(carried, self._ends(body, 1), strict=False)
            yield from zip(carried, self._ends(condition, 1), strict=False)
            yield from zip(carried, outputs, strict=False)
            yield from zip(inputs, outputs, strict=False)
        else:
            for graph in graphs:
                yield from zip(self._ends(graph, 2), outputs, strict=False)


def _code(code: Table) -> tuple[str, str]:
    """The operator's name, empty for those that are of no interest here, and a custom one's own."""
    number = max(code.integer(0, "<b"), code.integer(3, "<i"))
    return NAMES.get(number, str(number)), code.text(1) if number == 32 else ""
