"""Seeded weights, the same for both formats, scaled so that no activation vanishes or explodes.

Denormal numbers change a kernel's latency, and so would zeros everywhere.  Every layer's output gets a
standard deviation near one, computed from the graph alone (He's initialisation, corrected for activations,
padding, residual additions, pooling and gates); so the bytes of a model depend on no machine's arithmetic
beyond numpy's frozen RandomState.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lutfarm_jobs.models.graph import Graph, Node, Tensor
from lutfarm_jobs.models.signal import BIAS_SHARE, Signal, Source, activated_moments, add

Floats = NDArray[np.float32]
WEIGHTED = frozenset({"convolution", "fully_connected", "scale_shift"})
_SMALLEST_TARGET = 0.15
_GATE_TARGET = 2.0  # h_sigmoid is flat: an input of this deviation still gives an output of 0.3


@dataclass(frozen=True, slots=True)
class NodeWeights:
    """`kernel` is (out, in / groups, height, width), for scale_shift (channels,); `bias` is (out,)."""

    kernel: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Scaling:
    """What one weighted node is drawn for: mean square of its input, deviation of its output."""

    input_square: float
    target: float


def draw(graph: Graph) -> Mapping[int, NodeWeights]:
    """Weights of each node that has any, by node index; the same for the same graph, everywhere."""
    scalings = plan(graph)
    return {index: _draw_node(graph, index, scaling) for index, scaling in scalings.items()}


def plan(graph: Graph) -> Mapping[int, Scaling]:
    """How each weighted node must be scaled.

    First every target is one, to see by which factor additions amplify each source; then each source
    starts as much below one as it will end above.
    """
    weighted = {index for index, node in enumerate(graph.nodes) if node.kind in WEIGHTED}
    signals, _ = _propagate(graph, {index: 1.0 for index in weighted})
    growth = _growth(signals)
    targets = {
        index: _GATE_TARGET
        if graph.nodes[index].activation == "h_sigmoid"
        else max(_SMALLEST_TARGET, growth.get(index, 1.0) ** -0.5)
        for index in weighted
    }
    _, squares = _propagate(graph, targets)
    return {index: Scaling(squares[index], targets[index]) for index in sorted(weighted)}


def _growth(signals: Iterable[Signal]) -> Mapping[int, float]:
    """The largest sum of coefficients that each source reaches in any tensor, at least one."""
    largest: dict[int, float] = {}
    for signal in signals:
        totals: dict[int, float] = {}
        for source, coefficient in signal.parts.items():
            totals[source.node] = totals.get(source.node, 0.0) + coefficient
        for node, total in totals.items():
            largest[node] = max(largest.get(node, 1.0), total)
    return largest


def _propagate(graph: Graph, targets: Mapping[int, float]) -> tuple[list[Signal], dict[int, float]]:
    """The signal of every node's output, and the mean square of every weighted node's input."""
    deviations = {-1: 1.0, **targets}
    signals: dict[int, Signal] = {-1: Signal(0.0, {Source(-1): 1.0})}
    squares: dict[int, float] = {}
    for index, node in enumerate(graph.nodes):
        sources = [signals[tensor.node] for tensor in node.sources]
        if node.kind in WEIGHTED:
            squares[index] = sources[0].variance(deviations) + sources[0].mean ** 2
            signal = Signal(0.0, {Source(index): 1.0})
        else:
            signal = _passed(node, sources, deviations)
        signals[index] = _activated(node, signal, deviations)
    return [signals[index] for index in range(len(graph.nodes))], squares


def _passed(node: Node, sources: list[Signal], deviations: Mapping[int, float]) -> Signal:
    """The output of a node that has no weights, before its activation."""
    first = sources[0]
    if node.kind == "add":
        return add(first, sources[1])
    if node.kind == "multiply":
        gate = sources[1]
        root_mean_square = (gate.variance(deviations) + gate.mean**2) ** 0.5
        return Signal(first.mean * gate.mean, first.scaled(root_mean_square).parts)
    if node.kind == "average_pool":
        return first.pooled()
    if node.kind == "max_pool":
        deviation = first.variance(deviations) ** 0.5
        return Signal(first.mean + deviation, first.scaled(0.7).parts)
    if node.kind == "global_average_pool":
        return first.scaled(BIAS_SHARE)
    if node.kind == "zero":
        return Signal(0.0, {})
    return first


def _activated(node: Node, signal: Signal, deviations: Mapping[int, float]) -> Signal:
    deviation = signal.variance(deviations) ** 0.5
    if node.activation == "none" or deviation == 0:
        return signal
    mean, activated = activated_moments(signal.mean, deviation, node.activation)
    return Signal(mean, signal.scaled(activated / deviation).parts)


def _draw_node(graph: Graph, index: int, scaling: Scaling) -> NodeWeights:
    node = graph.nodes[index]
    random = np.random.RandomState([graph.seed, index])
    channels = node.output.shape[1]
    noise = scaling.target * (1 - BIAS_SHARE**2) ** 0.5
    root = scaling.input_square**0.5 if scaling.input_square > 0 else 1.0
    bias = random.standard_normal(channels) * (BIAS_SHARE * scaling.target if node.bias else 0.0)
    if node.kind == "scale_shift":
        kernel = np.exp(0.2 * random.standard_normal(channels)) * (noise / root)
    else:
        shape = kernel_shape(node)
        kernel = random.standard_normal(shape)
        norm = np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True))
        kernel *= noise / (root * norm * _taps_inside(node) ** 0.5)
    return NodeWeights(kernel.astype(np.float32), bias.astype(np.float32))


def kernel_shape(node: Node) -> tuple[int, int, int, int]:
    """(out, in / groups, height, width) of a convolution or fully connected layer."""
    return node.output.shape[1], node.sources[0].shape[1] // node.groups, node.kernel, node.kernel


def _taps_inside(node: Node) -> float:
    """The share of a kernel's taps that fall on the image instead of its padding, over all outputs."""
    source: Tensor = node.sources[0]
    share = 1.0
    for axis, before in ((2, node.padding[0]), (3, node.padding[1])):
        starts = np.arange(node.output.shape[axis]) * node.stride - before
        taps = starts[:, None] + np.arange(node.kernel)
        share *= float(((taps >= 0) & (taps < source.shape[axis])).mean())
    return share
