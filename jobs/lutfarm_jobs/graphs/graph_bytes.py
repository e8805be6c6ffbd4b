"""How much memory a graph's tensors and weights take, known before any of them is there."""

from __future__ import annotations

import math

from lutfarm_jobs.graphs.graph import Graph, Node

ELEMENT_BYTES = 4  # generated models are fp32


def graph_bytes(graph: Graph) -> int:
    """Of its input, its weights and the outputs of all its layers, in bytes."""
    elements = math.prod(graph.input_shape)
    return ELEMENT_BYTES * (elements + sum(math.prod(node.output.shape) + _weights(node) for node in graph.nodes))


def _weights(node: Node) -> int:
    """How many elements a layer's weights have, biases included."""
    channels, out_channels = node.sources[0].shape[1], node.output.shape[1]
    match node.kind:
        case "convolution" | "fully_connected":
            return out_channels * (channels // node.groups * node.kernel**2 + 1)
        case "scale_shift":
            return 2 * out_channels
        case _:
            return 0
