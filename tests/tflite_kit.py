"""Small .tflite models that no operator of lutfarm gives: without names, with a state, with subgraphs, with odd types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Op = schema.BuiltinOperator
Kind = schema.TensorType
FLOAT, INT32, RESOURCE = Kind.FLOAT32, Kind.INT32, Kind.RESOURCE


@dataclass
class Tflite:
    """A model in the making; `graphs[0]` is what is run."""

    graphs: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    codes: list[int] = field(default_factory=list)

    def graph(self) -> int:
        self.graphs.append(schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[]))
        return len(self.graphs) - 1

    def tensor(
        self,
        graph: int,
        name: str | None,
        shape: Sequence[int],
        kind: int = FLOAT,
        *,
        data: np.ndarray | None = None,
        signature: Sequence[int] | None = None,
        variable: bool = False,
    ) -> int:
        """Returns its index."""
        made = schema.TensorT(shape=list(shape), type=kind, name=name, isVariable=variable)
        if signature is not None:
            made.shapeSignature = list(signature)
        if data is not None:
            made.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT(data=np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)))
        self.graphs[graph].tensors.append(made)
        return len(self.graphs[graph].tensors) - 1

    def operator(self, graph: int, code: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT(opcodeIndex=self.codes.index(code), inputs=list(inputs), outputs=list(outputs))
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            made.builtinOptions = options
        self.graphs[graph].operators.append(made)

    def ends(self, graph: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self.graphs[graph].inputs, self.graphs[graph].outputs = list(inputs), list(outputs)

    def content(self) -> bytes:
        codes = [schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=1) for code in self.codes]
        model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=self.graphs, buffers=self.buffers, description="kit")
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def of_two_inputs(names: Sequence[str | None], *, shape: Sequence[int] = (1, 4), signature: Sequence[int] | None = None) -> bytes:
    """y = a + b."""
    made = Tflite()
    main = made.graph()
    inputs = [made.tensor(main, name, shape, signature=signature) for name in names]
    output = made.tensor(main, "y", shape, signature=signature)
    made.operator(main, Op.ADD, inputs, [output], schema.AddOptionsT())
    made.ends(main, inputs, [output])
    return made.content()


def with_init_subgraph() -> bytes:
    """y = x + v, where a CALL_ONCE graph without outputs sets the variable v."""
    return _of_variable(assigned=False)


def counting() -> bytes:
    """y = v = v + x in a resource variable, which no interpreter puts back."""
    return _of_variable(assigned=True)


def _of_variable(*, assigned: bool) -> bytes:
    """y = x + v; `assigned`: and then v = y."""
    made = Tflite()
    main, init = made.graph(), made.graph()
    x, y = made.tensor(main, "x", [1, 4]), made.tensor(main, "y", [1, 4])
    handle, value = made.tensor(main, "v", [], RESOURCE), made.tensor(main, "read", [1, 4])
    made.operator(main, Op.CALL_ONCE, [], [], schema.CallOnceOptionsT(initSubgraphIndex=init))
    made.operator(main, Op.VAR_HANDLE, [], [handle], schema.VarHandleOptionsT(container="", sharedName="v"))
    made.operator(main, Op.READ_VARIABLE, [handle], [value], schema.ReadVariableOptionsT())
    made.operator(main, Op.ADD, [x, value], [y], schema.AddOptionsT())
    if assigned:
        made.operator(main, Op.ASSIGN_VARIABLE, [handle, y], [], schema.AssignVariableOptionsT())
    made.ends(main, [x], [y])
    _set_once(made, init)
    return made.content()


def _set_once(made: Tflite, init: int) -> None:
    handle = made.tensor(init, "v", [], RESOURCE)
    start = made.tensor(init, "start", [1, 4], data=np.ones((1, 4), np.float32))
    made.operator(init, Op.VAR_HANDLE, [], [handle], schema.VarHandleOptionsT(container="", sharedName="v"))
    made.operator(init, Op.ASSIGN_VARIABLE, [handle, start], [], schema.AssignVariableOptionsT())


def silent_at_first() -> bytes:
    """v = v + 1 from 1 on, and y = x + relu(v - 4): the first four runs are alike."""
    made = Tflite()
    main, init = made.graph(), made.graph()
    x, y = made.tensor(main, "x", [1, 4]), made.tensor(main, "y", [1, 4])
    handle, old, new = made.tensor(main, "v", [], RESOURCE), made.tensor(main, "old", [1, 4]), made.tensor(main, "new", [1, 4])
    one, four = (made.tensor(main, f"c{n}", [1, 4], data=np.full((1, 4), n, np.float32)) for n in (1, 4))
    late, shown = made.tensor(main, "late", [1, 4]), made.tensor(main, "shown", [1, 4])
    made.operator(main, Op.CALL_ONCE, [], [], schema.CallOnceOptionsT(initSubgraphIndex=init))
    made.operator(main, Op.VAR_HANDLE, [], [handle], schema.VarHandleOptionsT(container="", sharedName="v"))
    made.operator(main, Op.READ_VARIABLE, [handle], [old], schema.ReadVariableOptionsT())
    made.operator(main, Op.ADD, [old, one], [new], schema.AddOptionsT())
    made.operator(main, Op.ASSIGN_VARIABLE, [handle, new], [], schema.AssignVariableOptionsT())
    made.operator(main, Op.SUB, [old, four], [late], schema.SubOptionsT())
    made.operator(main, Op.RELU, [late], [shown])
    made.operator(main, Op.ADD, [x, shown], [y], schema.AddOptionsT())
    made.ends(main, [x], [y])
    _set_once(made, init)
    return made.content()


def recurrent(units: int = 4) -> bytes:
    """h = tanh(W x + R h + b) with h in a variable tensor: a streaming network."""
    made = Tflite()
    main = made.graph()
    random = np.random.RandomState(0)
    x = made.tensor(main, "x", [1, units])
    weights = [made.tensor(main, name, [units, units], data=random.rand(units, units).astype(np.float32)) for name in "WR"]
    bias = made.tensor(main, "b", [units], data=np.zeros(units, np.float32))
    state = made.tensor(main, "h", [1, units], variable=True)
    y = made.tensor(main, "y", [1, units])
    options = schema.RNNOptionsT(fusedActivationFunction=schema.ActivationFunctionType.TANH)
    made.operator(main, Op.RNN, [x, *weights, bias, state], [y], options)
    made.ends(main, [x], [y])
    return made.content()


def random_uniform() -> bytes:
    """y = x + random numbers."""
    made = Tflite()
    main = made.graph()
    x, y = made.tensor(main, "x", [1, 4]), made.tensor(main, "y", [1, 4])
    shape, noise = made.tensor(main, "shape", [2], INT32, data=np.array([1, 4], np.int32)), made.tensor(main, "noise", [1, 4])
    made.operator(main, Op.RANDOM_UNIFORM, [shape], [noise], schema.RandomOptionsT(seed=1, seed2=2))
    made.operator(main, Op.ADD, [x, noise], [y], schema.AddOptionsT())
    made.ends(main, [x], [y])
    return made.content()
