"""The reference: a graph evaluated by numpy, with nothing of any runtime.

onnx's own ReferenceEvaluator agrees with this (a test holds them together) and is too slow for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lutfarm_jobs.models.graph import Graph, Node
from lutfarm_jobs.models.signal import activate
from lutfarm_jobs.models.weights import Floats, NodeWeights, draw


def evaluate(graph: Graph, values: Floats, *, weights: Mapping[int, NodeWeights] | None = None) -> list[Floats]:
    """Every node's output, in node order, NCHW float32; `values` is the graph's input."""
    drawn = draw(graph) if weights is None else weights
    outputs: dict[int, Floats] = {-1: values}
    for index, node in enumerate(graph.nodes):
        sources = [outputs[tensor.node] for tensor in node.sources]
        result = _apply(node, sources, drawn.get(index))
        outputs[index] = activate(result, node.activation).astype(np.float32, copy=False)
    return [outputs[index] for index in range(len(graph.nodes))]


def _apply(node: Node, sources: list[Floats], weights: NodeWeights | None) -> Floats:
    if weights is not None:
        return _WEIGHTED[node.kind](node, sources[0], weights)
    first = sources[0]
    if node.kind == "add":
        return first + sources[1]
    if node.kind == "multiply":
        return first * sources[1]
    if node.kind == "zero":
        return first * np.float32(0)
    if node.kind == "global_average_pool":
        return first.mean(axis=(2, 3), keepdims=True, dtype=np.float32)
    if node.kind == "channel_shuffle":
        batch, channels, height, width = first.shape
        grouped = first.reshape(batch, node.groups, channels // node.groups, height, width)
        return grouped.swapaxes(1, 2).reshape(first.shape)
    if node.kind in ("average_pool", "max_pool"):
        return _pool(node, first)
    return first


def _convolution(node: Node, values: Floats, weights: NodeWeights) -> Floats:
    """One matrix product (or, depthwise, one multiplication) for each tap of the kernel."""
    batch, channels, _, _ = values.shape
    _, out_channels, height, width = node.output.shape
    depthwise = node.groups == channels == out_channels
    total = np.zeros((batch, node.groups, out_channels // node.groups, height * width), np.float32)
    for row, column, view in _taps(node, values, 0.0):
        tap = weights.kernel[:, :, row, column]
        if depthwise:
            total += (view * tap.reshape(1, channels, 1, 1)).reshape(total.shape)
        else:
            grouped = view.reshape(batch, node.groups, channels // node.groups, height * width)
            total += tap.reshape(node.groups, out_channels // node.groups, -1) @ grouped
    return total.reshape(node.output.shape) + weights.bias.reshape(1, -1, 1, 1)


def _fully_connected(_node: Node, values: Floats, weights: NodeWeights) -> Floats:
    flat = values.reshape(values.shape[0], -1)
    result = flat @ weights.kernel.reshape(weights.kernel.shape[0], -1).T + weights.bias
    return result.reshape(*result.shape, 1, 1)


def _scale_shift(_node: Node, values: Floats, weights: NodeWeights) -> Floats:
    return values * weights.kernel.reshape(1, -1, 1, 1) + weights.bias.reshape(1, -1, 1, 1)


_WEIGHTED: Mapping[str, Callable[[Node, Floats, NodeWeights], Floats]] = {
    "convolution": _convolution,
    "fully_connected": _fully_connected,
    "scale_shift": _scale_shift,
}


def _pool(node: Node, values: Floats) -> Floats:
    if node.kind == "max_pool":
        return np.max([view for _, _, view in _taps(node, values, -np.inf)], axis=0)
    total = np.sum([view for _, _, view in _taps(node, values, 0.0)], axis=0)
    counted = np.sum([view for _, _, view in _taps(node, np.ones_like(values[:, :1]), 0.0)], axis=0)
    return total / counted


def _taps(node: Node, values: Floats, fill: float) -> list[tuple[int, int, Floats]]:
    """For each position in the kernel, the input that it meets: (row, column, array of the output's size)."""
    top, left, bottom, right = node.padding
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    height, width, stride = node.output.shape[2], node.output.shape[3], node.stride
    return [
        (row, column, padded[:, :, row : row + stride * height : stride, column : column + stride * width : stride]
         [:, :, :height, :width])
        for row in range(node.kernel)
        for column in range(node.kernel)
    ]
