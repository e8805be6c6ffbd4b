"""What a runtime that computes equal nodes once leaves of a graph, and NAS-Bench-201 in those operators."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfarm_jobs import spaces
from lutfarm_jobs.graphs.executed import executed
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.operators import kinds
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.runtimes import RUNTIMES

SPACE = spaces.load("nas-bench-201-cifar10")
MERGED = SPACE.under("onnxruntime")


def kinds_left(graph: Graph, runtime: str = "onnxruntime") -> list[str]:
    return [graph.nodes[at].kind for at in executed(graph, RUNTIMES[runtime].fusion)]


def empty() -> Graph:
    return Graph("g", (1, 8, 4, 4))


def test_equal_poolings_and_activations_of_one_tensor_are_computed_once_and_convolutions_never() -> None:
    graph = empty()
    pools = [graph.average_pool(graph.input, kernel=3, stride=1) for _ in range(2)]
    ways = [graph.convolution(graph.activation(graph.add(*pools), "relu"), 8) for _ in range(2)]
    graph.finish(graph.add(*ways))
    assert kinds_left(graph) == ["average_pool", "add", "activation", "convolution", "convolution"]


@pytest.mark.parametrize("change", [{"kernel": 5, "stride": 1}, {"kernel": 3, "stride": 2}])
def test_what_differs_is_not_merged(change: dict[str, int]) -> None:
    graph = empty()
    first, second = graph.average_pool(graph.input, kernel=3, stride=1), graph.average_pool(graph.input, **change)
    graph.finish(graph.add(first, second) if first.shape == second.shape else second)
    assert kinds_left(graph).count("average_pool") == 2


def test_equal_sums_of_equal_sources_are_one() -> None:
    graph = empty()
    sums = [graph.add(graph.input, graph.average_pool(graph.input, kernel=3, stride=1)) for _ in range(2)]
    graph.finish(graph.multiply(*sums))
    assert kinds_left(graph) == ["average_pool", "add", "multiply"]


def test_a_convolution_adds_once_and_applies_the_activation_behind_that() -> None:
    graph = empty()
    pool = graph.average_pool(graph.input, kernel=3, stride=1)
    summed = graph.add(graph.add(pool, graph.convolution(graph.input, 8)), pool)
    graph.finish(graph.activation(summed, "relu"))
    assert kinds_left(graph) == ["average_pool", "convolution", "add", "activation"]
    graph = empty()
    graph.finish(graph.activation(graph.add(graph.input, graph.convolution(graph.input, 8)), "relu"))
    assert kinds_left(graph) == ["convolution"]


def test_a_convolution_that_others_read_does_nothing_along() -> None:
    graph = empty()
    shared = graph.convolution(graph.input, 8)
    graph.finish(graph.add(graph.activation(shared, "relu"), shared))
    assert kinds_left(graph) == ["convolution", "activation", "add"]


def test_a_convolution_with_an_activation_of_its_own_does_no_second() -> None:
    graph = empty()
    graph.finish(graph.activation(graph.convolution(graph.input, 8, activation="relu6"), "relu"))
    assert kinds_left(graph) == ["convolution", "activation"]


def test_tensorflow_lite_merges_and_sums_nothing_and_any_node_applies_the_activation_that_alone_reads_it() -> None:
    graph = empty()
    pools = [graph.average_pool(graph.input, kernel=3, stride=1) for _ in range(2)]
    summed = graph.add(graph.activation(pools[0], "relu"), graph.convolution(pools[1], 8))
    graph.finish(graph.activation(summed, "relu"))
    assert kinds_left(graph, "tflite") == ["average_pool", "average_pool", "convolution", "add"]
    graph = empty()
    pool = graph.average_pool(graph.input, kernel=3, stride=1)
    graph.finish(graph.add(graph.activation(pool, "relu"), graph.activation(pool, "relu")))
    assert kinds_left(graph, "tflite") == ["average_pool", "activation", "activation", "add"]


def test_a_chain_executes_what_its_operators_are_alone() -> None:
    space = spaces.load("fbnet-32")
    assert space.under("onnxruntime") is space


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 15_624), st.sampled_from(["onnxruntime", "tflite"]))
def test_the_composition_under_a_runtime_is_what_it_leaves_of_the_network(place: int, runtime: str) -> None:
    arch, seen = tuple(int(index) for index in np.unravel_index(place, (5,) * 6)), SPACE.under(runtime)
    graph = seen.network(arch)
    assert graph.nodes == SPACE.network(arch).nodes
    left = [graph.labels[at] for at in executed(graph, RUNTIMES[runtime].fusion)]
    inside = Counter(label for label in left if label and "reduction" not in label)
    told = Counter({o.key: n for o, n in seen.composition(arch).items() if not isinstance(o, kinds.Reduction)})
    assert inside == told


def test_a_runtime_that_nothing_is_known_of_computes_the_edges_and_the_published_operators_stay() -> None:
    assert SPACE.under("tflite_benchmark_model") == SPACE == MERGED.under("tflite_benchmark_model")
    assert SPACE.under("onnxruntime_perf_test") == MERGED
    assert MERGED.operators() == SPACE.operators()
    assert (MERGED.name, MERGED.format((3,) * 6)) == (SPACE.name, SPACE.format((3,) * 6))


def test_the_merged_space_names_every_operator_that_its_networks_have() -> None:
    chosen = (o for layer in MERGED.layers for choice in layer.choices for o, _ in choice.parts)
    known: set[Operator] = {*(o for o, _ in MERGED.fixed), *MERGED.extras(), *chosen}
    for arch in SPACE.random(2, 30):
        assert set(MERGED.composition(arch)) <= known
    assert {o.kind for o in set(MERGED.extras()) - set(SPACE.operators()) - set(SPACE.extras())} == {"act", "conv"}


def test_two_poolings_of_a_node_and_five_activations_are_half_and_a_third() -> None:
    arch = SPACE.parse("|avg_pool_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|")
    plain, merged = SPACE.composition(arch), MERGED.composition(arch)
    pool = kinds.AvgPool(32, 32, 16, 3, 1)
    assert (plain[pool], merged[pool]) == (10, 5)
    assert sum(n for o, n in plain.items() if isinstance(o, kinds.ReluConvBN) and o.height == 32) == 20
    # Node 2 ends in a convolution that adds; the activation behind it is its own.
    assert merged[kinds.Act(32, 32, 16, "relu")] == 10
    assert (plain[kinds.Add(32, 32, 16)], merged[kinds.Add(32, 32, 16)]) == (15, 0)
