"""A graph as a .tflite file: NHWC, batch 1, one input `input`, one output `output`.

Grouped convolutions are CONV_2D with a narrower filter, as TensorFlow's converter writes them:
tflite-runtime 2.14 and LiteRT 2.3 both run them in their fast kernels, in half the time of the full ones.
"""

# The generated schema is only partly annotated.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from lutfarm_jobs.graphs.evaluate import NodeWeights
from lutfarm_jobs.graphs.graph import Graph, Node
from lutfarm_jobs.graphs.padding import padding_mode
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.tflite.flatbuffer import Op, TfliteFile

_FUSED = schema.ActivationFunctionType


def write_tflite(graph: Graph) -> bytes:
    """The file's bytes; the same for the same graph."""
    graph.check_writable()
    writer = _Writer(graph, draw(graph).weights, TfliteFile(graph.name))
    writer.outputs[-1] = writer.file.tensor("input", nhwc(graph.input_shape))
    for index, node in enumerate(graph.nodes):
        writer.outputs[index] = _layer(writer, index, node)
    return writer.file.content(writer.outputs[-1], writer.outputs[len(graph.nodes) - 1])


def nhwc(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """An NCHW shape in NHWC."""
    batch, channels, height, width = shape
    return batch, height, width, channels


@dataclass(slots=True)
class _Writer:
    graph: Graph
    weights: Mapping[int, NodeWeights]
    file: TfliteFile
    outputs: dict[int, int] = field(default_factory=dict[int, int])  # node index -> tensor index

    def source(self, node: Node, which: int = 0) -> int:
        """The tensor index of a node's source."""
        return self.outputs[node.sources[which].node]


def _layer(writer: _Writer, index: int, node: Node) -> int:
    """Append one layer and its activation, fused where TFLite can; returns the output tensor."""
    if node.kind == "activation":
        return _activation(writer, node, writer.source(node))
    fuses = node.kind in _FUSING
    fused = _FUSED.NONE
    if fuses and node.activation == "relu":
        fused = _FUSED.RELU
    elif (fuses and node.activation == "relu6") or _is_folded(node):
        fused = _FUSED.RELU6
    output = _LAYERS[node.kind](writer, index, node, fused)
    if _is_folded(node):
        return _scale(writer, output, nhwc_of(node), 1 / 6)
    return output if fused != _FUSED.NONE or node.activation == "none" else _activation(writer, node, output)


def _is_folded(node: Node) -> bool:
    """True where h_sigmoid is relu6(x + 3) / 6 with the 3 in the bias, as TensorFlow's converter folds it."""
    return node.activation == "h_sigmoid" and node.kind in ("convolution", "fully_connected")


def nhwc_of(node: Node) -> tuple[int, ...]:
    """The output shape of a layer: (1, channels) for a fully connected one."""
    return node.output.shape[:2] if node.kind == "fully_connected" else nhwc(node.output.shape)


def _activation(writer: _Writer, node: Node, source: int) -> int:
    shape = writer.file.shape(source)
    if node.activation == "relu":
        return writer.file.emit(Op.RELU, [source], shape)
    if node.activation == "relu6":
        return writer.file.emit(Op.RELU6, [source], shape)
    if node.activation == "h_swish":
        return writer.file.emit(Op.HARD_SWISH, [source], shape, schema.HardSwishOptionsT())
    if node.activation == "h_sigmoid":
        three = writer.file.constant(f"three{len(writer.file.tensors)}", np.array([3], np.float32))
        options = schema.AddOptionsT(fusedActivationFunction=_FUSED.RELU6)
        return _scale(writer, writer.file.emit(Op.ADD, [source, three], shape, options), shape, 1 / 6)
    raise ValueError(f"{writer.graph.name}: an activation of no kind")


def _scale(writer: _Writer, source: int, shape: tuple[int, ...], factor: float) -> int:
    constant = writer.file.constant(f"factor{len(writer.file.tensors)}", np.array([factor], np.float32))
    return writer.file.emit(Op.MUL, [source, constant], shape, schema.MulOptionsT())


def _bias(writer: _Writer, index: int, node: Node) -> int:
    bias = writer.weights[index].bias
    return writer.file.constant(f"b{index}", bias + np.float32(3) if _is_folded(node) else bias)


def _mode(node: Node) -> int:
    _, _, height, width = node.sources[0].shape
    mode = padding_mode(height, width, kernel=node.kernel, stride=node.stride, padding=node.padding)
    return schema.Padding.SAME if mode == "SAME" else schema.Padding.VALID


def _convolution(writer: _Writer, index: int, node: Node, fused: int) -> int:
    channels = node.sources[0].shape[1]
    depthwise = node.groups == channels == node.output.shape[1] and channels > 1
    kernel = writer.weights[index].kernel
    if depthwise:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=1)
        code, laid_out = Op.DEPTHWISE_CONV_2D, kernel.transpose(1, 2, 3, 0)  # 1, height, width, channels
    else:
        options = schema.Conv2DOptionsT()
        code, laid_out = Op.CONV_2D, kernel.transpose(0, 2, 3, 1)  # out, height, width, in / groups
    options.padding = _mode(node)
    options.strideH = options.strideW = node.stride
    options.fusedActivationFunction = fused
    inputs = [writer.source(node), writer.file.constant(f"w{index}", laid_out), _bias(writer, index, node)]
    return writer.file.emit(code, inputs, nhwc_of(node), options)


def _fully_connected(writer: _Writer, index: int, node: Node, fused: int) -> int:
    kernel = writer.weights[index].kernel
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=fused)
    matrix = writer.file.constant(f"w{index}", kernel.reshape(kernel.shape[0], -1))
    return writer.file.emit(Op.FULLY_CONNECTED, [writer.source(node), matrix, _bias(writer, index, node)], nhwc_of(node), options)


def _scale_shift(writer: _Writer, index: int, node: Node, fused: int) -> int:
    """MUL and ADD: what TensorFlow's converter makes of a batch normalisation that follows no convolution."""
    weights, shape = writer.weights[index], nhwc_of(node)
    scale, shift = writer.file.constant(f"w{index}", weights.kernel), writer.file.constant(f"b{index}", weights.bias)
    scaled = writer.file.emit(Op.MUL, [writer.source(node), scale], shape, schema.MulOptionsT())
    options = schema.AddOptionsT(fusedActivationFunction=fused)
    return writer.file.emit(Op.ADD, [scaled, shift], shape, options)


def _add(writer: _Writer, _index: int, node: Node, fused: int) -> int:
    options = schema.AddOptionsT(fusedActivationFunction=fused)
    return writer.file.emit(Op.ADD, [writer.source(node), writer.source(node, 1)], nhwc_of(node), options)


def _multiply(writer: _Writer, _index: int, node: Node, fused: int) -> int:
    options = schema.MulOptionsT(fusedActivationFunction=fused)
    return writer.file.emit(Op.MUL, [writer.source(node), writer.source(node, 1)], nhwc_of(node), options)


def _zero(writer: _Writer, _index: int, node: Node, _fused: int) -> int:
    return _scale(writer, writer.source(node), nhwc_of(node), 0.0)


def _pool(writer: _Writer, _index: int, node: Node, fused: int) -> int:
    options = schema.Pool2DOptionsT()
    options.padding = _mode(node)
    options.strideH = options.strideW = node.stride
    options.filterHeight = options.filterWidth = node.kernel
    options.fusedActivationFunction = fused
    code = Op.AVERAGE_POOL_2D if node.kind == "average_pool" else Op.MAX_POOL_2D
    return writer.file.emit(code, [writer.source(node)], nhwc_of(node), options)


def _global_average_pool(writer: _Writer, index: int, node: Node, _fused: int) -> int:
    axes = writer.file.constant(f"axes{index}", np.array([1, 2], np.int32))
    options = schema.ReducerOptionsT(keepDims=True)
    return writer.file.emit(Op.MEAN, [writer.source(node), axes], nhwc_of(node), options)


def _channel_shuffle(writer: _Writer, index: int, node: Node, _fused: int) -> int:
    batch, height, width, channels = shape = nhwc(node.output.shape)
    grouped = (batch, height, width, node.groups, channels // node.groups)
    shuffled = (batch, height, width, channels // node.groups, node.groups)
    order = writer.file.constant(f"order{index}", np.array([0, 1, 2, 4, 3], np.int32))
    apart = _reshape(writer, writer.source(node), grouped)
    turned = writer.file.emit(Op.TRANSPOSE, [apart, order], shuffled, schema.TransposeOptionsT())
    return _reshape(writer, turned, shape)


def _reshape(writer: _Writer, source: int, shape: tuple[int, ...]) -> int:
    options = schema.ReshapeOptionsT(newShape=list(shape))
    constant = writer.file.constant(f"shape{len(writer.file.tensors)}", np.array(shape, np.int32))
    return writer.file.emit(Op.RESHAPE, [source, constant], shape, options)


_FUSING = frozenset({"convolution", "fully_connected", "scale_shift", "add", "multiply", "average_pool", "max_pool"})
_LAYERS: Mapping[str, Callable[[_Writer, int, Node, int], int]] = {
    "convolution": _convolution,
    "fully_connected": _fully_connected,
    "scale_shift": _scale_shift,
    "add": _add,
    "multiply": _multiply,
    "zero": _zero,
    "average_pool": _pool,
    "max_pool": _pool,
    "global_average_pool": _global_average_pool,
    "channel_shuffle": _channel_shuffle,
}
