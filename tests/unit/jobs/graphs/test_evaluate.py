"""Our reference evaluator against onnx's own, on every kind of layer."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from tests import models_kit as kit

from lutfarm_jobs.graphs.evaluate import activate, evaluate, input_values
from lutfarm_jobs.graphs.graph import Kind
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.onnx.writer import write_onnx


def test_the_small_graphs_hold_every_kind_of_layer() -> None:
    kinds = {node.kind for make in kit.SMALL.values() for node in kit.graph(make).nodes}
    assert kinds == set(get_args(Kind))


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("name", kit.SMALL)
def test_agrees_with_onnx_reference_evaluator(name: str, size: int) -> None:
    graph = kit.graph(kit.SMALL[name], size=size)
    values = input_values(graph.input_shape, seed=3)
    output = evaluate(graph, values, draw(graph).weights)[-1]
    assert output.shape == graph.outputs[0].shape
    assert output.dtype == np.float32
    assert kit.difference(kit.run_onnx_reference(write_onnx(graph), values), output) < 1e-6


@pytest.mark.parametrize("name", kit.SMALL)
def test_drawing_weights_puts_out_what_evaluating_with_them_does(name: str) -> None:
    graph = kit.graph(kit.SMALL[name])
    drawn = draw(graph)
    output = evaluate(graph, input_values(graph.input_shape), drawn.weights)[-1]
    np.testing.assert_allclose(drawn.output, output, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "outputs"),
    [
        ("none", [-4, -1, 0, 2, 7]),
        ("relu", [0, 0, 0, 2, 7]),
        ("relu6", [0, 0, 0, 2, 6]),
        ("h_sigmoid", [0, 1 / 3, 0.5, 5 / 6, 1]),
        ("h_swish", [0, -1 / 3, 0, 5 / 3, 7]),
    ],
)
def test_activations(activation: str, outputs: list[float]) -> None:
    values = np.array([-4, -1, 0, 2, 7], np.float32)
    found = activate(values, activation)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, outputs, rtol=1e-6)


def test_padded_elements_of_an_average_are_not_counted() -> None:
    graph = kit.graph(kit.SMALL["average_pool"], size=5)
    ones = np.ones(graph.input_shape, np.float32)
    np.testing.assert_allclose(evaluate(graph, ones, {})[-1], ones, rtol=1e-6)
