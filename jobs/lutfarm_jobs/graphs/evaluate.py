"""The reference: a graph evaluated by numpy, with nothing of any runtime.

onnx's own ReferenceEvaluator agrees with this (a test holds them together) and is hundreds of times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm_jobs.graphs.graph import Activation, Graph, Node

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NodeWeights:
    """`kernel` is (out, in / groups, height, width), for scale_shift (channels,); `bias` is (out,)."""

    kernel: Floats
    bias: Floats


def input_values(shape: tuple[int, ...], *, seed: int = 0) -> Floats:
    """What the runner feeds a float input, NCHW; docs/wire.md defines it."""
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def evaluate(graph: Graph, values: Floats, weights: Mapping[int, NodeWeights]) -> list[Floats]:
    """Every node's output, in node order, NCHW float32; `values` is the graph's input."""
    outputs: dict[int, Floats] = {-1: values}
    for index, node in enumerate(graph.nodes):
        sources = [outputs[tensor.node] for tensor in node.sources]
        outputs[index] = apply(node, sources, weights.get(index))
    return [outputs[index] for index in range(len(graph.nodes))]


def apply(node: Node, sources: Sequence[Floats], weights: NodeWeights | None, *, linear: bool = False) -> Floats:
    """One node's output; without its activation if `linear`."""
    unweighted = weights is None
    result = _UNWEIGHTED[node.kind](node, sources) if unweighted else _WEIGHTED[node.kind](node, sources[0], weights)
    return result if linear else activate(result, node.activation)


def activate(values: Floats, activation: Activation) -> Floats:
    """The activation function, element by element."""
    if activation == "relu":
        return np.maximum(values, 0)
    if activation == "relu6":
        return np.clip(values, np.float32(0), np.float32(6))
    if activation == "h_sigmoid":
        return np.clip(values + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)
    if activation == "h_swish":
        return values * activate(values, "h_sigmoid")
    return values


def _channel_shuffle(node: Node, sources: Sequence[Floats]) -> Floats:
    batch, channels, height, width = sources[0].shape
    grouped = sources[0].reshape(batch, node.groups, channels // node.groups, height, width)
    return grouped.swapaxes(1, 2).reshape(sources[0].shape)


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


def _taps(node: Node, values: Floats, fill: float) -> list[tuple[int, int, Floats]]:
    """For each position in the kernel, the input that it meets: (row, column, array of the output's size)."""
    top, left, bottom, right = node.padding
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    height, width, stride = node.output.shape[2], node.output.shape[3], node.stride
    rows, columns = stride * height, stride * width
    return [
        (row, column, padded[:, :, row : row + rows : stride, column : column + columns : stride])
        for row in range(node.kernel)
        for column in range(node.kernel)
    ]


def _average_pool(node: Node, sources: Sequence[Floats]) -> Floats:
    total = np.sum([view for _, _, view in _taps(node, sources[0], 0.0)], axis=0)
    inside = np.sum([view for _, _, view in _taps(node, np.ones_like(sources[0]), 0.0)], axis=0)
    return total / inside


def _max_pool(node: Node, sources: Sequence[Floats]) -> Floats:
    return np.max([view for _, _, view in _taps(node, sources[0], -np.inf)], axis=0)


_WEIGHTED: Mapping[str, Callable[[Node, Floats, NodeWeights], Floats]] = {
    "convolution": _convolution,
    "fully_connected": _fully_connected,
    "scale_shift": _scale_shift,
}
_UNWEIGHTED: Mapping[str, Callable[[Node, Sequence[Floats]], Floats]] = {
    "activation": lambda _node, sources: sources[0],
    "add": lambda _node, sources: sources[0] + sources[1],
    "multiply": lambda _node, sources: sources[0] * sources[1],
    "zero": lambda _node, sources: sources[0] * np.float32(0),
    "global_average_pool": lambda _node, sources: sources[0].mean(axis=(2, 3), keepdims=True),
    "average_pool": _average_pool,
    "max_pool": _max_pool,
    "channel_shuffle": _channel_shuffle,
}
