"""The size of a graph is known before any of its weights is drawn."""

from __future__ import annotations

import pytest

from lutfarm_jobs import operators
from lutfarm_jobs.graphs.graph_bytes import graph_bytes
from lutfarm_jobs.graphs.weights import draw

POINTWISE = "conv_H8_W8_Cin4_Cout6_k1_s1_g1_relu"


def test_input_weights_and_output_of_a_convolution() -> None:
    assert graph_bytes(operators.graph_of(operators.parse(POINTWISE))) == 4 * (4 * 64 + (4 * 6 + 6) + 6 * 64)


@pytest.mark.parametrize(
    "key",
    [
        POINTWISE,
        "conv_H9_W7_Cin8_Cout8_k3_s2_g4_relu",
        "fc_H1_W1_Cin5_Cout3_none",
        "bn-act_H8_W8_C6_relu",
        "maxpool_H8_W8_C4_k3_s2",
    ],
)
def test_what_is_counted_is_what_is_drawn(key: str) -> None:
    graph = operators.graph_of(operators.parse(key))
    weights = sum(one.kernel.size + one.bias.size for one in draw(graph).weights.values())
    tensors = sum(n * c * h * w for n, c, h, w in (graph.input_shape, *(node.output.shape for node in graph.nodes)))
    assert graph_bytes(graph) == 4 * (weights + tensors)
