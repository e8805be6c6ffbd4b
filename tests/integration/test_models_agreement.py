"""onnxruntime, LiteRT, onnx's reference evaluator and ours put out the same, for every operator and whole networks.

OFA's operators are in test_models_agreement_ofa.py, so that two workers share what takes a quarter of an hour.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests import models_kit as kit
from tests.agreement_kit import disagreeing, real_operators

from lutfarm_jobs import operators, spaces
from lutfarm_jobs.graphs.evaluate import evaluate
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.build_model import canary_graph

SMALL_SPACES = [name for name in spaces.names() if not name.startswith("ofa")] + ["ofa-mbv3-w1.2-224"]


@pytest.mark.parametrize("name", kit.SMALL)
def test_every_kind_of_layer(name: str) -> None:
    assert disagreeing(kit.graph(kit.SMALL[name], size=size, name=f"{name}-{size}") for size in (8, 9)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL_SPACES)
def test_every_operator_of_a_space(name: str) -> None:
    assert disagreeing(operators.graph_of(operator) for operator in real_operators([name])) == {}


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
