"""A graph as an .onnx file: NCHW, batch 1, one input `input`, one output `output`.

Opset 17 and IR version 8 are read by onnxruntime from 1.12 on: boards are often years behind.

h_swish is HardSwish: onnxruntime 1.32 fuses it into the convolution before it, as it does HardSigmoid and Mul
(480 and 486 us for an MBConv of 28x28x48); 1.16 fuses neither and expands the first into the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lutfarm_jobs.graphs.evaluate import NodeWeights
from lutfarm_jobs.graphs.graph import Graph, Node
from lutfarm_jobs.graphs.weights import draw

OPSET = 17
IR_VERSION = 8


def write_onnx(graph: Graph) -> bytes:
    """The file's bytes; the same for the same graph."""
    graph.check_writable()
    writer = _Writer(graph, draw(graph).weights)
    for index, node in enumerate(graph.nodes):
        writer.layer(index, node)
    return _model(writer).SerializeToString(deterministic=True)


def _model(writer: _Writer) -> ModelProto:
    graph = writer.graph
    last = len(graph.nodes) - 1
    shape, rank = graph.nodes[last].output.shape, 2 if last in writer.flat else 4
    return helper.make_model(
        helper.make_graph(
            writer.nodes,
            graph.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, graph.input_shape)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape[:rank])],
            writer.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lutfarm",
    )


@dataclass(slots=True)
class _Writer:
    graph: Graph
    weights: Mapping[int, NodeWeights]
    nodes: list[NodeProto] = field(default_factory=list[NodeProto])
    constants: list[TensorProto] = field(default_factory=list[TensorProto])
    flat: set[int] = field(default_factory=set[int])  # nodes whose output is (1, channels) alone

    def layer(self, index: int, node: Node) -> None:
        """Append one layer and its activation."""
        last = index == len(self.graph.nodes) - 1
        output = "output" if last else f"t{index}"
        inner = output if node.activation == "none" or node.kind == "activation" else f"t{index}_linear"
        if node.kind != "activation":
            _LAYERS[node.kind](self, index, node, inner)
            self._activation(index, node, inner, output)
        else:
            self._activation(index, node, self.source(index, node), output)

    def source(self, index: int, node: Node, which: int = 0, *, flat: bool = False) -> str:
        """The name of a source tensor, as (1, channels) if `flat`, else with height and width."""
        tensor = node.sources[which]
        name = "input" if tensor.node == -1 else f"t{tensor.node}"
        if flat == (tensor.node in self.flat):
            return name
        changed = f"{name}_for{index}"
        if flat:
            self.emit("Flatten", [name], changed, axis=1)
        else:
            shape = self.constant(f"{changed}_shape", np.array(tensor.shape, np.int64))
            self.emit("Reshape", [name, shape], changed)
        return changed

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add an initializer; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def emit(self, operator: str, inputs: list[str], output: str, **attributes: int | float | list[int]) -> None:
        """Append one ONNX node, named by its output."""
        node = helper.make_node(operator, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)

    def _activation(self, index: int, node: Node, source: str, output: str) -> None:
        if node.activation == "relu":
            self.emit("Relu", [source], output)
        elif node.activation == "relu6":
            low = self.constant(f"{output}_min", np.array(0, np.float32))
            high = self.constant(f"{output}_max", np.array(6, np.float32))
            self.emit("Clip", [source, low, high], output)
        elif node.activation == "h_sigmoid":
            self.emit("HardSigmoid", [source], output, alpha=1 / 6, beta=0.5)
        elif node.activation == "h_swish":
            self.emit("HardSwish", [source], output)
        elif node.kind == "activation":
            raise ValueError(f"{self.graph.name}: node {index} is an activation of no kind")


def _convolution(writer: _Writer, index: int, node: Node, output: str) -> None:
    weights = writer.weights[index]
    writer.emit(
        "Conv",
        [writer.source(index, node), writer.constant(f"w{index}", weights.kernel), writer.constant(f"b{index}", weights.bias)],
        output,
        kernel_shape=[node.kernel, node.kernel],
        strides=[node.stride, node.stride],
        pads=list(node.padding),
        group=node.groups,
    )


def _fully_connected(writer: _Writer, index: int, node: Node, output: str) -> None:
    weights = writer.weights[index]
    matrix = weights.kernel.reshape(weights.kernel.shape[0], -1)
    inputs = [
        writer.source(index, node, flat=True),
        writer.constant(f"w{index}", matrix),
        writer.constant(f"b{index}", weights.bias),
    ]
    writer.emit("Gemm", inputs, output, transB=1)
    writer.flat.add(index)


def _scale_shift(writer: _Writer, index: int, node: Node, output: str) -> None:
    """BatchNormalization of mean 0 and variance 1, which exported networks hold where nothing folds it."""
    weights = writer.weights[index]
    inputs = [
        writer.source(index, node),
        writer.constant(f"w{index}", weights.kernel),
        writer.constant(f"b{index}", weights.bias),
        writer.constant(f"mean{index}", np.zeros_like(weights.bias)),
        writer.constant(f"variance{index}", np.ones_like(weights.bias)),
    ]
    writer.emit("BatchNormalization", inputs, output, epsilon=0.0)


def _add(writer: _Writer, index: int, node: Node, output: str) -> None:
    writer.emit("Add", [writer.source(index, node), writer.source(index, node, 1)], output)


def _multiply(writer: _Writer, index: int, node: Node, output: str) -> None:
    writer.emit("Mul", [writer.source(index, node), writer.source(index, node, 1)], output)


def _zero(writer: _Writer, index: int, node: Node, output: str) -> None:
    writer.emit("Mul", [writer.source(index, node), writer.constant(f"zero{index}", np.zeros(1, np.float32))], output)


def _pool(writer: _Writer, index: int, node: Node, output: str) -> None:
    attributes = {"count_include_pad": 0} if node.kind == "average_pool" else {}
    writer.emit(
        "AveragePool" if node.kind == "average_pool" else "MaxPool",
        [writer.source(index, node)],
        output,
        kernel_shape=[node.kernel, node.kernel],
        strides=[node.stride, node.stride],
        pads=list(node.padding),
        **attributes,
    )


def _global_average_pool(writer: _Writer, index: int, node: Node, output: str) -> None:
    writer.emit("GlobalAveragePool", [writer.source(index, node)], output)


def _channel_shuffle(writer: _Writer, index: int, node: Node, output: str) -> None:
    batch, channels, height, width = node.output.shape
    grouped = np.array([batch, node.groups, channels // node.groups, height, width], np.int64)
    to_groups = writer.constant(f"groups{index}", grouped)
    back = writer.constant(f"shape{index}", np.array(node.output.shape, np.int64))
    writer.emit("Reshape", [writer.source(index, node), to_groups], f"{output}_grouped")
    writer.emit("Transpose", [f"{output}_grouped"], f"{output}_shuffled", perm=[0, 2, 1, 3, 4])
    writer.emit("Reshape", [f"{output}_shuffled", back], output)


_LAYERS: Mapping[str, Callable[[_Writer, int, Node, str], None]] = {
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
