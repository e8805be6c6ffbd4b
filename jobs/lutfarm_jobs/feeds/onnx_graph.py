"""The nodes of an .onnx file, taken apart into steps (`flow`), read without a runtime and without building weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lutfarm_jobs.feeds.flow import Flat, Step
from lutfarm_jobs.feeds.onnx_deciding import CHANCE, CUT, DECIDING, PASSING
from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.info import ModelInput
from lutfarm_jobs.models.onnx.protobuf import fields, nested, number, text
from lutfarm_jobs.models.onnx.reader import initializer, value_info

DEEPEST = 64  # graphs within graphs, and functions that call functions
MOST_STEPS = 3 * 5_000_000  # fields that are read: a function's are read again wherever it is called


@dataclass(slots=True)
class _Node:
    kind: str = ""
    domain: str = ""
    overload: str = ""
    inputs: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])
    graphs: list[memoryview] = field(default_factory=list[memoryview])
    numbers: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class _Function:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[memoryview, ...]


@dataclass(slots=True)
class _Scope:
    """Names of one graph, and those of the graphs around it."""

    outer: _Scope | None = None
    tensors: dict[str, int] = field(default_factory=dict[str, int])

    def find(self, name: str) -> int | None:
        """The tensor of a name, here or further out."""
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.tensors:
                return scope.tensors[name]
            scope = scope.outer
        return None


def flatten(content: memoryview, inputs: Sequence[ModelInput]) -> Flat:
    """The steps of a model whose fed inputs these are.  Raises Malformed where it is too large or too deep."""
    flattening = _Flattening(Budget(MOST_STEPS))
    graphs: list[memoryview] = []
    for field_number, value in fields(content, flattening.budget):
        if field_number == 7:
            graphs.append(nested(value))
        elif field_number == 25:
            flattening.keep_function(nested(value))
    scope = _Scope()
    for declared in inputs:
        flattening.flat.inputs.append(flattening.new(scope, declared.name))
        if declared.shape is not None:
            flattening.flat.shapes[flattening.flat.inputs[-1]] = declared.shape
    for graph in graphs:
        flattening.flat.outputs += flattening.graph(graph, scope, depth=0)[1]
    return flattening.flat


class _Flattening:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.flat = Flat()
        self.functions: dict[tuple[str, str, str], _Function] = {}

    def new(self, scope: _Scope, name: str) -> int:
        """A tensor with this name in a scope."""
        scope.tensors[name] = self.flat.tensor()
        return scope.tensors[name]

    def keep_function(self, message: memoryview) -> None:
        """A model's own function, by its domain, its name, and which of that name it is."""
        name = domain = overload = ""
        inputs: list[str] = []
        outputs: list[str] = []
        nodes: list[memoryview] = []
        for field_number, value in fields(message, self.budget):
            if field_number == 1:
                name = text(value)
            elif field_number == 10:
                domain = text(value)
            elif field_number == 13:
                overload = text(value)
            elif field_number == 4:
                inputs.append(text(value))
            elif field_number == 5:
                outputs.append(text(value))
            elif field_number == 7:
                nodes.append(nested(value))
        self.functions[domain, name, overload] = _Function(tuple(inputs), tuple(outputs), tuple(nodes))

    def graph(self, message: memoryview, scope: _Scope, *, depth: int) -> tuple[list[int], list[int]]:
        """The tensors that go in and come out, after its nodes became steps."""
        nodes: list[memoryview] = []
        inputs: list[str] = []
        outputs: list[str] = []
        for field_number, value in fields(message, self.budget):
            if field_number == 1:
                nodes.append(nested(value))
            elif field_number in (11, 12, 13):
                declared = value_info(nested(value), self.budget)
                known = scope.tensors.get(declared.name)
                tensor = self.new(scope, declared.name) if known is None else known
                if declared.shape is not None:
                    self.flat.shapes.setdefault(tensor, declared.shape)
                (inputs if field_number == 11 else outputs if field_number == 12 else []).append(declared.name)
            elif field_number == 5:
                name, shape = initializer(nested(value), self.budget)
                if name not in scope.tensors:
                    self.flat.shapes[self.new(scope, name)] = shape
        self.nodes(nodes, scope, depth=depth)
        return [scope.tensors[name] for name in inputs], [scope.tensors[name] for name in outputs]

    def nodes(self, messages: Sequence[memoryview], scope: _Scope, *, depth: int) -> None:
        """All outputs have their names before the first input is looked up: nodes may stand in any order."""
        if depth > DEEPEST:
            raise Malformed(f"its graphs lie more than {DEEPEST} deep")
        nodes = [self._node(message) for message in messages]
        for node in nodes:
            for name in node.outputs:
                if name and name not in scope.tensors:
                    self.new(scope, name)
        for node in nodes:
            self._step(node, scope, depth=depth)

    def _node(self, message: memoryview) -> _Node:
        node = _Node()
        for field_number, value in fields(message, self.budget):
            if field_number == 1:
                node.inputs.append(text(value))
            elif field_number == 2:
                node.outputs.append(text(value))
            elif field_number == 4:
                node.kind = text(value)
            elif field_number == 7:
                node.domain = text(value)
            elif field_number == 8:
                node.overload = text(value)
            elif field_number == 5:
                self._attribute(nested(value), node)
        return node

    def _attribute(self, message: memoryview, node: _Node) -> None:
        name = ""
        for field_number, value in fields(message, self.budget):
            if field_number == 1:
                name = text(value)
            elif field_number == 3:
                node.numbers[name] = number(value)
            elif field_number in (6, 11):
                node.graphs.append(nested(value))

    def _step(self, node: _Node, scope: _Scope, *, depth: int) -> None:
        inputs = tuple(self._known(name, scope) for name in node.inputs)
        outputs = tuple(scope.tensors[name] if name else -1 for name in node.outputs)
        function = self.functions.get((node.domain, node.kind, node.overload))
        if function is not None:
            self._call(function, inputs, outputs, depth=depth)
        elif node.graphs:
            self._controlled(node, inputs, outputs, scope, depth=depth)
        else:
            self.flat.add(
                Step(
                    node.kind,
                    inputs,
                    outputs,
                    DECIDING.get(node.kind, frozenset()),
                    cut=node.kind in CUT,
                    passing=node.kind in PASSING or (node.kind == "Dropout" and len(inputs) < 3),
                    chance=node.kind in CHANCE,
                    axis=node.numbers.get("axis", node.numbers.get("gather_axis", 0)),
                    layout=node.numbers.get("layout", 0),
                )
            )

    def _known(self, name: str, scope: _Scope) -> int:
        """A tensor, -1 where a node leaves it out; what nothing makes hangs on nothing."""
        if not name:
            return -1
        tensor = scope.find(name)
        return self.new(scope, name) if tensor is None else tensor

    def _call(self, function: _Function, inputs: Sequence[int], outputs: Sequence[int], *, depth: int) -> None:
        scope = _Scope()
        for name, tensor in zip(function.inputs, inputs, strict=False):
            if tensor >= 0:
                scope.tensors[name] = tensor
        self.nodes(function.nodes, scope, depth=depth + 1)
        for name, tensor in zip(function.outputs, outputs, strict=False):
            self.flat.flow(self._known(name, scope), tensor)

    def _controlled(self, node: _Node, inputs: Sequence[int], outputs: Sequence[int], scope: _Scope, *, depth: int) -> None:
        """If, Loop, Scan and whatever else holds graphs: what goes in, round and out."""
        for message in node.graphs:
            inside = _Scope(scope)
            came, went = self.graph(message, inside, depth=depth + 1)
            for source, target in _pairs(node, inputs, outputs, came, went):
                self.flat.flow(source, target)
            if node.kind == "Loop" and went:
                self.flat.decides(went[0], node.kind)
        deciding = {"If": (0,), "Loop": (0, 1), "Scan": (), "SequenceMap": ()}.get(node.kind, range(len(inputs)))
        conditions = tuple(inputs[position] for position in deciding if position < len(inputs) and inputs[position] >= 0)
        self.flat.add(Step(node.kind, conditions, tuple(outputs), frozenset(range(len(conditions)))))


def _pairs(
    node: _Node, inputs: Sequence[int], outputs: Sequence[int], came: Sequence[int], went: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Which tensor becomes which, for one graph of a node."""
    if node.kind == "If":
        yield from zip(went, outputs, strict=False)
    elif node.kind == "Loop":  # count, condition, what is carried; of the body: condition, what is carried
        yield from zip(inputs[1:], came[1:], strict=False)
        yield from zip(went[1:], came[2:], strict=False)
        yield from zip(went[1:], outputs, strict=False)
    elif node.kind in ("Scan", "SequenceMap"):
        fed = inputs[1:] if len(inputs) > len(came) else inputs  # Scan of opset 8 has lengths before all
        states = len(came) - node.numbers.get("num_scan_inputs", len(came))
        yield from zip(fed, came, strict=False)
        yield from zip(went[:states], came[:states], strict=False)
        yield from zip(went, outputs, strict=False)
    else:
        yield from ((source, target) for source in inputs for target in (*came, *outputs))
        yield from ((source, target) for source in went for target in (*came, *outputs))
