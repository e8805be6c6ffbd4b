"""onnxruntime, LiteRT, onnx's reference evaluator and ours put out the same, for every operator and whole networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from tests import models_kit as kit

from lutfarm_jobs import operators, spaces
from lutfarm_jobs.graphs.evaluate import evaluate
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.build_model import canary_graph
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.operators import Operator

TOLERANCE = 1e-4  # what the probe asks for; the worst seen is 3e-6
SMALL_SPACES = [name for name in spaces.names() if not name.startswith("ofa")] + ["ofa-mbv3-w1.2-224"]
OFA = [name for name in spaces.names() if name.startswith("ofa")]


def differences(graph: Graph) -> dict[str, float]:
    """Of each way to run a graph to our reference, relative to the largest output."""
    values, drawn = kit.values_for(graph), draw(graph)
    in_onnx, in_tflite = write_onnx(graph), write_tflite(graph)
    return {
        "onnxruntime": kit.difference(kit.run_onnxruntime(in_onnx, values), drawn.output),
        "LiteRT": kit.difference(kit.run_tflite(in_tflite, values), drawn.output),
        "onnx reference": kit.difference(kit.run_onnx_reference(in_onnx, values), drawn.output),
    }


def disagreeing(graphs: Iterable[Graph]) -> dict[str, dict[str, float]]:
    """The graphs that any of them runs differently; not a number counts as different."""
    found = {graph.name: differences(graph) for graph in graphs}
    assert found
    return {name: each for name, each in found.items() if not max(each.values()) < TOLERANCE}


def real_operators(names: Iterable[str]) -> Iterator[Operator]:
    """Each operator of these spaces once, without those that are nothing."""
    loaded = (spaces.load(name) for name in names)
    yield from dict.fromkeys(
        operator for space in loaded for operator in (*space.operators(), *space.extras()) if not operator.is_nothing
    )


@pytest.mark.parametrize("name", kit.SMALL)
def test_every_kind_of_layer(name: str) -> None:
    assert disagreeing(kit.graph(kit.SMALL[name], size=size, name=f"{name}-{size}") for size in (8, 9)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL_SPACES)
def test_every_operator_of_a_space(name: str) -> None:
    assert disagreeing(operators.graph_of(operator) for operator in real_operators([name])) == {}


def test_operators_of_ofa_at_every_resolution() -> None:
    """Two or three of each of the 50 spaces, others each time; all of them are the slow test below."""
    chosen = dict.fromkeys(
        operator for position, name in enumerate(OFA) for operator in list(real_operators([name]))[position % 37 :: 37]
    )
    assert len(chosen) > 100
    assert {operator.key.partition("_")[0] for operator in chosen} == {"conv", "mbconv", "gap", "fc"}
    assert disagreeing(operators.graph_of(operator) for operator in chosen) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", ["w1.0", "w1.2"])
def test_every_operator_of_ofa(width: str) -> None:
    """1,197 blocks and what is fixed, at 25 resolutions; 2-4 minutes for each width on a busy pair of cores."""
    chosen = list(real_operators(name for name in OFA if width in name))
    assert len(chosen) > 1_197
    assert disagreeing(operators.graph_of(operator) for operator in chosen) == {}


@pytest.mark.parametrize("name", [*SMALL_SPACES, "ofa-mbv3-w1.0-132", "ofa-mbv3-w1.2-188"])
def test_whole_networks(name: str) -> None:
    space = spaces.load(name)
    assert disagreeing(space.network(arch) for arch in space.random(7, 3)) == {}


@pytest.mark.parametrize("name", ["fbnet-224", "fbnet-32", "proxylessnas-224", "ofa-mbv3-w1.0-128", "ofa-mbv3-w1.2-224"])
def test_activations_of_whole_networks_keep_their_scale(name: str) -> None:
    space = spaces.load(name)
    for arch in space.random(11, 3):
        graph = space.network(arch)
        outputs = evaluate(graph, kit.values_for(graph), draw(graph).weights)
        deviations = [float(output.std()) for output in outputs]
        assert 0.1 < min(deviations) < max(deviations) < 10, space.format(arch)
        assert min(float(np.abs(output[output != 0]).min()) for output in outputs) > np.finfo(np.float32).tiny


def test_the_canary() -> None:
    assert disagreeing([canary_graph()]) == {}
