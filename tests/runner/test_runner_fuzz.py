"""Damaged and odd models by the hundred, in both runtimes: each is measured or fails by itself; good ones beside it are measured.

`LUTFARM_FUZZ=5000 pytest tests/runner/test_runner_fuzz.py` tries so many of each runtime instead of the few of every test run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper
from tests import models_kit as kit
from tests import tflite_kit
from tests.runner.conftest import of_type

from lutfarm_agents.wire import events as messages
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.feeds.resolve import Asked, feeding
from lutfarm_jobs.models.inspect import inspect_file
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.writer import write_tflite

MUTANTS = int(os.environ.get("LUTFARM_FUZZ", "120"))
BETWEEN = 12  # mutants between two good models
LIMITS = {"memory_bytes": 1 << 30, "load_s": 5.0, "iteration_s": 3.0}
SHAPES = ([], [0], [1], [2, 3], [1, 0, 4], ["n"], [-1], [2**40], [1] * 20)

Mutation = Callable[[random.Random, bytes], bytes]


def flipped(chance: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))]


def shuffled(chance: random.Random, content: bytes) -> bytes:
    """A piece of it copied over another."""
    data, size = bytearray(content), chance.randint(4, 64)
    source, target = chance.randrange(max(1, len(data) - size)), chance.randrange(max(1, len(data) - size))
    data[target : target + size] = data[source : source + size]
    return bytes(data)


def retyped(chance: random.Random, content: bytes) -> bytes:
    """Another element type or shape declared for an input or output."""
    model = onnx.load_from_string(content)
    for value in [*model.graph.output, *model.graph.input]:
        if chance.random() < 0.5:
            shape = chance.choice(SHAPES)
            value.CopyFrom(helper.make_tensor_value_info(value.name, chance.randint(0, 27), shape))
    return model.SerializeToString()


def cast(chance: random.Random, content: bytes) -> bytes:
    """Its output as another type, or in a sequence, or two hundred times, with long names."""
    model = onnx.load_from_string(content)
    (last,) = model.graph.output
    name, kind = "o" * chance.choice([1, 3000, 70_000]), chance.randint(1, 24)
    how = chance.randrange(3)
    del model.graph.output[:]
    if how == 0:
        model.graph.node.append(helper.make_node("Cast", [last.name], [name], to=kind))
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    elif how == 1:
        model.graph.node.append(helper.make_node("SequenceConstruct", [last.name] * chance.randint(1, 50), [name]))
        model.graph.output.append(helper.make_tensor_sequence_value_info(name, T.FLOAT, None))
    else:
        for number in range(200):
            model.graph.node.append(helper.make_node("ReduceMax", [last.name], [f"{name[:3000]}{number}"], keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(f"{name[:3000]}{number}", T.FLOAT, []))
    return model.SerializeToString()


def swapped(chance: random.Random, content: bytes) -> bytes:
    """Another kind of operator at a node's place."""
    model = onnx.load_from_string(content)
    names = ["NonZero", "Shape", "StringNormalizer", "Loop", "If", "Optional", "RandomNormal", "Reshape", "Nobody", ""]
    chance.choice(model.graph.node).op_type = chance.choice(names)
    return model.SerializeToString()


def seeds(runtime: str) -> list[bytes]:
    graphs = [kit.graph(kit.SMALL[name]) for name in ("conv3x3_stride2", "squeeze_excite", "two_fully_connected")]
    if runtime == "onnxruntime":
        return [write_onnx(graph) for graph in graphs]
    return [*map(write_tflite, graphs), tflite_kit.with_init_subgraph(), tflite_kit.recurrent(), tflite_kit.counting()]


BYTES: tuple[Mutation, ...] = (flipped, cut, shuffled)
MUTATIONS = {"onnxruntime": (*BYTES, retyped, cast, swapped, retyped, cast), "tflite": BYTES}


def mutants(runtime: str) -> Iterator[bytes]:
    chance = random.Random(runtime)
    valid, mutations = seeds(runtime), MUTATIONS[runtime]
    for number in range(MUTANTS):
        yield mutations[number % len(mutations)](chance, chance.choice(valid))


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_whatever_a_model_does_the_good_one_beside_it_is_measured(start, bench, tmp_path, runtime):
    good = tmp_path / "good"
    good.write_bytes(seeds(runtime)[0])
    paths = []
    for number, content in enumerate(mutants(runtime)):
        if number % BETWEEN == 0:
            paths.append(good)
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(content)
    paths.append(good)
    workloads = [bench.workload(number, path=str(path), runtime=runtime, iteration_ns=None) for number, path in enumerate(paths)]
    events = start().ask("probe", workloads=workloads, limits=LIMITS, cpus=[])
    assert not of_type(events, "error"), events[-2:]
    probed = [messages.probed(event, len(paths)) for event in of_type(events, "probed")]
    assert [event.id for event in probed] == list(range(len(paths)))  # the host takes every one of them, and each came once
    assert {probed[number].code for number, path in enumerate(paths) if path == good} == {""}
    assert {event.code for event in probed} <= {"", "WorkloadFailed", "OutOfMemory", "WorkloadTimeout", "Unstable"}
    assert any(event.code for event in probed)


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
def test_whatever_a_file_holds_the_host_reads_it_or_says_why_not(tmp_path, runtime):
    path = tmp_path / ("m.onnx" if runtime == "onnxruntime" else "m.tflite")
    read = 0
    for content in mutants(runtime):
        path.write_bytes(content)
        try:
            feeding(inspect_file(path), Asked(tmp_path))
        except SpecError as error:
            assert str(path) in str(error)
        else:
            read += 1
    assert read
