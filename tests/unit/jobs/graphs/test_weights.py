"""Weights: seeded, equal everywhere, and such that activations neither vanish nor explode."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests import models_kit as kit

from lutfarm_jobs import spaces
from lutfarm_jobs.graphs.evaluate import evaluate, input_values
from lutfarm_jobs.graphs.graph import Graph, Tensor
from lutfarm_jobs.graphs.weights import draw

NAS = spaces.load("nas-bench-201-cifar10")
ALL_SKIP = (1, 1, 1, 1, 1, 1)


def deviations(graph: Graph) -> list[float]:
    outputs = evaluate(graph, input_values(graph.input_shape), draw(graph).weights)
    return [float(o.std()) for o, node in zip(outputs, graph.nodes, strict=True) if node.kind != "zero"]


def test_the_same_graph_gives_the_same_weights_and_another_seed_others() -> None:
    first, again = (draw(kit.graph(kit.SMALL["squeeze_excite"])).weights for _ in range(2))
    for index, weights in first.items():
        np.testing.assert_array_equal(weights.kernel, again[index].kernel)
        np.testing.assert_array_equal(weights.bias, again[index].bias)
    other = kit.graph(kit.SMALL["squeeze_excite"])
    other.seed = 1
    assert not np.array_equal(draw(other).weights[1].kernel, first[1].kernel)


def test_two_layers_of_one_shape_have_different_weights() -> None:
    graph = kit.graph(lambda g: g.convolution(g.convolution(g.input, 8), 8))
    weights = draw(graph).weights
    ratio = weights[0].kernel / weights[1].kernel
    assert np.ptp(ratio) > 1


@pytest.mark.parametrize("name", ["conv1x1", "depthwise3x3", "grouped1x1", "fully_connected_relu"])
def test_kernels_are_seeded_uniform_numbers_times_a_power_of_two(name: str) -> None:
    graph = kit.graph(kit.SMALL[name])
    index, weights = next(iter(draw(graph).weights.items()))
    uniform = np.random.RandomState([graph.seed, index]).random_sample(weights.kernel.shape) * 2 - 1
    exponents = {math.log2(ratio) for ratio in np.unique(weights.kernel / uniform.astype(np.float32))}
    assert len(exponents) == 1
    assert exponents.pop().is_integer()


def test_weights_are_float32_and_none_is_denormal() -> None:
    graph = NAS.network((3, 2, 4, 1, 3, 2))
    for weights in draw(graph).weights.values():
        for values in (weights.kernel, weights.bias):
            assert values.dtype == np.float32
            assert np.abs(values[values != 0]).min() > 1e-20


def test_a_long_chain_of_layers_keeps_its_scale() -> None:
    def chain(g: Graph) -> Tensor:
        tensor = g.input
        for _ in range(60):
            inner = g.convolution(tensor, 24, activation="h_swish")
            inner = g.convolution(inner, 24, kernel=3, groups=24, activation="relu6")
            tensor = g.convolution(inner, 8)
        return tensor

    found = deviations(kit.graph(chain, size=8))
    assert 0.1 < min(found) < max(found) < 10


def test_many_residual_additions_in_a_row_keep_their_scale() -> None:
    def chain(g: Graph) -> Tensor:
        tensor = g.convolution(g.input, 16)
        for _ in range(20):
            tensor = g.add(tensor, g.convolution(g.convolution(tensor, 48, activation="relu"), 16))
        return tensor

    found = deviations(kit.graph(chain, size=8))
    assert 0.1 < min(found) < max(found) < 10


def paths(arch: tuple[int, ...]) -> int:
    """Ways through a NAS-Bench-201 cell that meet no weights."""
    e01, e02, e12, e03, e13, e23 = (op in (1, 4) for op in arch)
    return e03 + e01 * e13 + e02 * e23 + e01 * e12 * e23


@pytest.mark.parametrize("arch", [arch for arch in NAS.random(5, 40) if paths(arch) <= 1][:12], ids=NAS.format)
def test_nas_bench_networks_keep_their_scale(arch: tuple[int, ...]) -> None:
    found = [d for d in deviations(NAS.network(arch)) if d > 0]
    assert 0.1 < min(found) < max(found) < 10


def test_what_only_adds_to_itself_is_centred_on_one() -> None:
    """Four ways without weights amplify 1024-fold in five cells: 0.1 to 10 can't hold, its middle can."""
    found = deviations(NAS.network(ALL_SKIP))
    assert 0.01 < min(found) < max(found) < 100
    stage = found[: 5 * 4]
    assert 0.2 < math.sqrt(min(stage) * max(stage)) < 5


def test_a_cell_that_is_cut_off_gives_zeros_and_nothing_behind_it_breaks() -> None:
    graph = NAS.network((0, 0, 0, 0, 0, 0))
    outputs = evaluate(graph, input_values(graph.input_shape), draw(graph).weights)
    assert all(np.isfinite(output).all() for output in outputs)
    assert float(np.abs(outputs[-1]).max()) > 0.1
