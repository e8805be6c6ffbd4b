"""Seeded weights, the same for both formats, scaled so that no activation vanishes or explodes.

Denormal numbers change a kernel's latency, and so would zeros everywhere.  The graph is therefore evaluated
once while its weights are drawn, and each layer scaled to give a standard deviation near one (as in "All
you need is a good init", arXiv:1511.06422).  Scales are powers of two, so that the last bits of a machine's
matrix product don't reach the file: the same graph gives the same bytes.

Where a sum of identical terms grows more than a hundredfold (NAS-Bench-201 cells with three or four paths
of nothing but skips and pools) no weights can keep all of it within 0.1-10; the range is then centred on one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lutfarm_jobs.graphs.evaluate import Floats, NodeWeights, activate, apply, input_values
from lutfarm_jobs.graphs.graph import Graph, Node

WEIGHTED = frozenset({"convolution", "fully_connected", "scale_shift"})
_BIAS_SHARE = 0.7  # of the output's deviation; what global pooling leaves of a channel is its bias
_GATE_TARGET = 2.0  # h_sigmoid is flat: this deviation before it leaves 0.3 behind it


@dataclass(frozen=True, slots=True)
class Drawn:
    """Weights of each node that has any, by node index, and what the graph puts out for `input_values` of seed 0."""

    weights: Mapping[int, NodeWeights]
    output: Floats


def draw(graph: Graph) -> Drawn:
    """The weights of a graph; the same for the same graph."""
    growth = _growth(graph)
    outputs: dict[int, Floats] = {-1: input_values(graph.input_shape)}
    drawn: dict[int, NodeWeights] = {}
    for index, node in enumerate(graph.nodes):
        sources = [outputs[tensor.node] for tensor in node.sources]
        if node.kind in WEIGHTED:
            target = _target(node, growth.get(index, 1.0))
            drawn[index], outputs[index] = _draw_node(graph, index, sources, target)
        else:
            outputs[index] = apply(node, sources, None)
    return Drawn(drawn, outputs[len(graph.nodes) - 1])


def _target(node: Node, growth: float) -> float:
    """The wanted standard deviation before the activation, a power of two."""
    if node.activation == "h_sigmoid":
        return _GATE_TARGET
    return 2.0 ** round(-math.log2(growth) / 2)


def _growth(graph: Graph) -> Mapping[int, float]:
    """By which factor additions amplify a weighted node's output, at most, before it meets other weights.

    NAS-Bench-201 adds a tensor to itself up to four times a cell, five cells in a row.  Sources that are
    added to one another share the largest factor: they start as much below one as they end above.
    """
    parts: dict[int, dict[int, float]] = {-1: {}}
    group = {index: index for index in range(len(graph.nodes))}
    largest: dict[int, float] = {}
    for index, node in enumerate(graph.nodes):
        total: dict[int, float] = {}
        for tensor in node.sources[: 2 if node.kind == "add" else 1]:
            for source, coefficient in parts[tensor.node].items():
                total[source] = total.get(source, 0.0) + coefficient
        parts[index] = {index: 1.0} if node.kind in WEIGHTED else total
        joined = {group[source] for source in parts[index]}
        if len(joined) > 1:
            group = {source: min(joined) if old in joined else old for source, old in group.items()}
        for source, coefficient in parts[index].items():
            largest[source] = max(largest.get(source, 1.0), coefficient)
    return {source: max(factor for other, factor in largest.items() if group[other] == group[source]) for source in largest}


def _draw_node(graph: Graph, index: int, sources: list[Floats], target: float) -> tuple[NodeWeights, Floats]:
    """Uniform weights of mean zero (arithmetic alone, so equal on every platform) times 2^n, and their output."""
    node = graph.nodes[index]
    random = np.random.RandomState([graph.seed, index])
    channels = node.output.shape[1]
    shape = (channels,) if node.kind == "scale_shift" else kernel_shape(node)
    kernel = _uniform(random, shape)
    if node.kind == "scale_shift":
        kernel = 1 + kernel / 2
    bias = _uniform(random, (channels,)) * (3**0.5 * _BIAS_SHARE * target if node.bias else 0.0)
    raw = NodeWeights(kernel.astype(np.float32), np.zeros(channels, np.float32))
    linear = apply(node, sources, raw, linear=True)
    linear_rms = float(np.sqrt(np.mean(np.square(linear), dtype=np.float64)))
    exponent = round(math.log2(target * (1 - _BIAS_SHARE**2) ** 0.5 / linear_rms)) if linear_rms > 0 else 0
    scale = np.float32(2.0**exponent)  # exact, so the output needs no second evaluation
    weights = NodeWeights(raw.kernel * scale, bias.astype(np.float32))
    return weights, activate(linear * scale + weights.bias.reshape(1, -1, 1, 1), node.activation)


def _uniform(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    return random.random_sample(shape) * 2 - 1


def kernel_shape(node: Node) -> tuple[int, int, int, int]:
    """(out, in / groups, height, width) of a convolution or fully connected layer."""
    return node.output.shape[1], node.sources[0].shape[1] // node.groups, node.kernel, node.kernel
