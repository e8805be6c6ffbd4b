"""A .tflite file as a list of tensors and operators; the flatbuffer below it is nobody else's business.

Written with the object API of LiteRT's schema; no TensorFlow.  Every operator has version 1: all that is used
here existed in the first version of each, so that runtimes years old accept the file.
"""

# The generated schema and flatbuffers are only partly annotated.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Op = schema.BuiltinOperator
Options = (
    schema.Conv2DOptionsT
    | schema.DepthwiseConv2DOptionsT
    | schema.Pool2DOptionsT
    | schema.FullyConnectedOptionsT
    | schema.AddOptionsT
    | schema.MulOptionsT
    | schema.ReshapeOptionsT
    | schema.TransposeOptionsT
    | schema.ReducerOptionsT
    | schema.HardSwishOptionsT
)
_ALIGNMENT = 16  # of every buffer, as TensorFlow's converter does: runtimes read weights in place
_SCHEMA_VERSION = 3


class _Buffer(schema.BufferT):
    """Constant data, aligned; the generated class aligns to a single byte and copies byte by byte."""

    def __init__(self, payload: bytes | None = None) -> None:
        super().__init__()
        self.payload = payload

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        data = None
        if self.payload is not None:
            builder.StartVector(1, len(self.payload), _ALIGNMENT)
            builder.head -= len(self.payload)
            builder.Bytes[builder.head : builder.head + len(self.payload)] = self.payload
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


@dataclass(slots=True)
class TfliteFile:
    """One graph; tensors and operators are appended in the order in which they run."""

    name: str
    tensors: list[schema.TensorT] = field(default_factory=list[schema.TensorT])
    _buffers: list[schema.BufferT] = field(default_factory=lambda: list[schema.BufferT]([_Buffer()]))  # 0: no data
    _operators: list[schema.OperatorT] = field(default_factory=list[schema.OperatorT])
    _codes: list[int] = field(default_factory=list[int])

    def tensor(self, name: str, shape: tuple[int, ...], *, kind: int = schema.TensorType.FLOAT32) -> int:
        """A tensor that is an input or that an operator fills; returns its index."""
        self.tensors.append(schema.TensorT(shape=list(shape), type=kind, name=name))
        return len(self.tensors) - 1

    def constant(self, name: str, values: np.ndarray) -> int:
        """A tensor with data, float32 or int32; returns its index."""
        kind = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        index = self.tensor(name, values.shape, kind=kind)
        self.tensors[index].buffer = len(self._buffers)
        self._buffers.append(_Buffer(np.ascontiguousarray(values).tobytes()))
        return index

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self.tensors[index].shape or ())

    def emit(self, code: int, inputs: list[int], shape: tuple[int, ...], options: Options | None = None) -> int:
        """Append one operator; returns the index of its output."""
        if code not in self._codes:
            self._codes.append(code)
        output = self.tensor(f"t{len(self.tensors)}", shape)
        operator = schema.OperatorT(opcodeIndex=self._codes.index(code), inputs=inputs, outputs=[output])
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def content(self, input_index: int, output_index: int) -> bytes:
        """The whole file; names its output `output`."""
        self.tensors[output_index].name = "output"
        graph = schema.SubGraphT(
            tensors=self.tensors, inputs=[input_index], outputs=[output_index], operators=self._operators, name=self.name
        )
        codes = [
            # Runtimes from before 2021 look for the code in the one-byte field.
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=1)
            for code in self._codes
        ]
        model = schema.ModelT(
            version=_SCHEMA_VERSION, operatorCodes=codes, subgraphs=[graph], description="lutfarm", buffers=self._buffers
        )
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
