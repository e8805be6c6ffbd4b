"""What runs a graph differently from our own reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests import models_kit as kit

from lutfarm_jobs import spaces
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.operators import Operator

TOLERANCE = 1e-4  # what the probe asks for; the worst seen is 3e-6


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
