"""What real runtimes put out, of every kind: compared by what it is, and never the end of the session."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests import tflite_kit
from tests.runner.conftest import LIMITS, of_type

from lutfarm_jobs.round import Slicing


def tensor(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, list(shape))


@pytest.fixture
def onnx_file(tmp_path):
    """Writes a model of these nodes."""

    def write(*nodes, inputs, outputs, initializers=(), opset=21):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        graph = helper.make_graph(list(nodes), "g", inputs, outputs, list(initializers))
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
        return str(path)

    return write


@pytest.fixture
def probed(start, bench, tmp_path):
    """The `probed` events of model files (a path, or a path and more fields), and of a good one behind them."""
    good = tmp_path / "good.tflite"
    good.write_bytes(tflite_kit.of_two_inputs(["a", "b"]))

    def ask(*files):
        workloads = []
        for path, more in [file if isinstance(file, tuple) else (file, {}) for file in files] + [(str(good), {})]:
            runtime = "tflite" if str(path).endswith(".tflite") else "onnxruntime"
            workloads.append(bench.workload(len(workloads), path=str(path), runtime=runtime, iteration_ns=None, **more))
        *found, last = of_type(start().ask("probe", **{**bench.probe({}), "workloads": workloads}), "probed")
        assert last["iteration_ns"] > 0, last
        return found

    return ask


def measured(start, bench, path, runtime):
    """The events of one round of a file."""
    workload = bench.workload(0, path=str(path), runtime=runtime, iteration_ns=None)
    canary = {"path": str(path), "runtime": runtime, "threads": 1, "reference_ns": None}
    plan = {**asdict(Slicing(passes=3)), "gate_ratio": 1000.0}
    return start().ask("round", workloads=[workload], slicing=plan, seed=1, canary=canary, limits=LIMITS, cpus=[])


CAST = ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "INT4", "UINT4", "FLOAT16", "DOUBLE",
        "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL", "STRING"]  # fmt: skip


@pytest.mark.parametrize("size", [3, 0])
def test_outputs_of_every_element_type(probed, onnx_file, size):
    files = [
        onnx_file(
            helper.make_node("Cast", ["x"], ["y"], to=getattr(T, name)),
            inputs=[tensor("x", T.FLOAT, size)],
            outputs=[tensor("y", getattr(T, name), size)],
        )
        for name in CAST
    ]
    found = {name: event.get("detail") for name, event in zip(CAST, probed(*files), strict=True)}
    refused = {name for name, detail in found.items() if detail is not None}
    assert all("Cast" in found[name] for name in refused), found  # the runtime has none to that type
    assert refused <= {"INT4", "UINT4"}


def test_outputs_that_are_no_tensors(probed, onnx_file):
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, [2]))
    sequence = onnx_file(
        helper.make_node("SequenceConstruct", ["x", "x"], ["y"]),
        inputs=[tensor("x", T.FLOAT, 2)],
        outputs=[helper.make_tensor_sequence_value_info("y", T.FLOAT, None)],
    )
    nothing = onnx_file(
        helper.make_node("Optional", [], ["y"], type=helper.make_tensor_type_proto(T.FLOAT, [2])),
        helper.make_node("Relu", ["x"], ["z"]),
        inputs=[tensor("x", T.FLOAT, 2)],
        outputs=[helper.make_value_info("y", optional), tensor("z", T.FLOAT, 2)],
    )
    one, other = probed(sequence, nothing)
    assert one["iteration_ns"] > 0
    assert one["notes"]["unbound_outputs"] == "output 'y' is a seq(tensor(float))"
    assert other["iteration_ns"] > 0
    assert list(other["notes"]) == ["unbound_outputs"]


def test_a_sequence_does_not_grow_while_it_is_timed(start, bench, onnx_file):
    long = onnx_file(
        *(helper.make_node("SequenceConstruct", ["x"] * 100, ["y"]),),
        inputs=[tensor("x", T.FLOAT, 2)],
        outputs=[helper.make_tensor_sequence_value_info("y", T.FLOAT, None)],
    )
    events = measured(start, bench, long, "onnxruntime")
    assert of_type(events, "ended"), events


def test_texts_do_not_grow_from_run_to_run(probed, onnx_file):
    words = helper.make_tensor("w", T.STRING, [2], [b"ab", b"cd"])
    path = onnx_file(
        helper.make_node("StringConcat", ["w", "w"], ["y"]),
        helper.make_node("Relu", ["x"], ["z"]),
        initializers=[words],
        inputs=[tensor("x", T.FLOAT, 2)],
        outputs=[tensor("y", T.STRING, 2), tensor("z", T.FLOAT, 2)],
    )
    (event,) = probed(path)
    assert event["notes"] == {"unbound_outputs": "output 'y' is a tensor(string)"}


def test_a_scalar_an_input_as_output_and_two_hundred_outputs(probed, onnx_file):
    x = tensor("x", T.FLOAT, 2)
    scalar = onnx_file(helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), inputs=[x], outputs=[tensor("y", T.FLOAT)])
    passed = onnx_file(helper.make_node("Relu", ["x"], ["y"]), inputs=[x], outputs=[x, tensor("y", T.FLOAT, 2)])
    names = [f"{'n' * 3000}{number}" for number in range(200)]
    many = onnx_file(
        *(helper.make_node("Relu", ["x"], [name]) for name in names),
        inputs=[x],
        outputs=[tensor(name, T.FLOAT, 2) for name in names],
    )
    constant = onnx_file(helper.make_node("Constant", [], ["y"], value_float=1.0), inputs=[], outputs=[tensor("y", T.FLOAT)])
    for event in probed(scalar, passed, many, constant):
        assert (event.get("detail"), event["notes"]) == (None, {})


@pytest.mark.parametrize(
    ("declared", "note"),
    [
        ([1, 64], {"unbound_outputs": "output 'y' is declared as [1, 64] and is [8, 64]"}),
        ([8, 64], {}),
        (["b", 64], {}),
        (None, {}),
        ([8, 64, 1], {}),  # an output's rank is nothing that this runtime looks at
    ],
)
def test_declared_output_shapes_are_hints(start, bench, probed, onnx_file, declared, note):
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    path = onnx_file(
        helper.make_node("Add", ["x", "z"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
        inputs=[tensor("x", T.FLOAT, "n", 64), tensor("z", T.FLOAT, "m", 64)],
        outputs=[helper.make_tensor_value_info("y", T.FLOAT, declared)],
        initializers=[weights],
    )
    shapes = [{"name": name, "shape": [8, 64], "dtype": "float32"} for name in "xz"]
    (event,) = probed((path, {"inputs": shapes}))
    assert (event.get("detail"), event["notes"]) == (None, note)
    workload = bench.workload(0, path=path, runtime="onnxruntime", iteration_ns=None, inputs=shapes)
    canary = {"path": path, "runtime": "onnxruntime", "threads": 1, "reference_ns": None}
    good = onnx_file(helper.make_node("Relu", ["x"], ["y"]), inputs=[tensor("x", T.FLOAT, 2)], outputs=[tensor("y", T.FLOAT, 2)])
    plan = {**asdict(Slicing(passes=3)), "gate_ratio": 1000.0}
    events = start().ask(
        "round", workloads=[workload], slicing=plan, seed=1, canary={**canary, "path": good}, limits=LIMITS, cpus=[]
    )
    assert of_type(events, "slice"), events


@pytest.mark.parametrize("kind", ["Log", "Sqrt", "Acos"])
def test_nan_is_said_and_measured(probed, onnx_file, kind):
    path = onnx_file(helper.make_node(kind, ["x"], ["y"]), inputs=[tensor("x", T.FLOAT, 64)], outputs=[tensor("y", T.FLOAT, 64)])
    (event,) = probed(path)
    assert event["notes"]["nan_outputs"].startswith("output 0: ")
    assert event["iteration_ns"] > 0


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT8E4M3FNUZ", "FLOAT8E5M2FNUZ"])
def test_nan_of_few_bits_is_said_too(probed, onnx_file, kind):
    path = onnx_file(
        helper.make_node("Log", ["x"], ["l"]),
        helper.make_node("Cast", ["l"], ["y"], to=getattr(T, kind)),
        inputs=[tensor("x", T.FLOAT, 64)],
        outputs=[tensor("y", getattr(T, kind), 64)],
    )
    (event,) = probed(path)
    assert (event.get("detail"), list(event["notes"])) == (None, ["nan_outputs"])


def test_outputs_without_an_element_are_said(probed, onnx_file):
    x, y, z = tensor("x", T.FLOAT, 0, 4), tensor("y", T.FLOAT, 0, 4), tensor("z", T.FLOAT)
    relu, total = helper.make_node("Relu", ["x"], ["y"]), helper.make_node("ReduceSum", ["x"], ["z"], keepdims=0)
    nothing, something = onnx_file(relu, inputs=[x], outputs=[y]), onnx_file(relu, total, inputs=[x], outputs=[y, z])
    one, other = probed(nothing, something)
    assert (one.get("detail"), one["notes"]) == (None, {"empty_outputs": "no output has any element"})
    assert (other.get("detail"), other["notes"]) == (None, {})


def test_minus_infinity_is_a_number_like_any_other(probed, onnx_file):
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "z")
    path = onnx_file(
        helper.make_node("Mul", ["x", "z"], ["n"]),
        helper.make_node("Abs", ["n"], ["a"]),
        helper.make_node("Log", ["a"], ["y"]),
        inputs=[tensor("x", T.FLOAT, 4)],
        outputs=[tensor("y", T.FLOAT, 4)],
        initializers=[zero],
    )
    (event,) = probed(path)
    assert (event.get("detail"), event["notes"]) == (None, {})


def test_random_operators_are_named_and_measured(start, bench, probed, onnx_file):
    x, y = tensor("x", T.FLOAT, 8), tensor("y", T.FLOAT, 8)
    add = helper.make_node("Add", ["x", "r"], ["y"])
    normal = onnx_file(helper.make_node("RandomNormal", [], ["r"], shape=[8]), add, inputs=[x], outputs=[y])
    of_any_size = onnx_file(  # the number of outputs above x changes from run to run
        helper.make_node("RandomUniform", [], ["r"], shape=[1000]),
        helper.make_node("Greater", ["r", "x"], ["g"]),
        helper.make_node("NonZero", ["g"], ["y"]),
        inputs=[tensor("x", T.FLOAT, 1)],
        outputs=[tensor("y", T.INT64, 1, "n")],
    )
    named, sized, unnamed = probed((normal, {"random": ["RandomNormal"]}), (of_any_size, {"random": ["RandomUniform"]}), normal)
    assert named["notes"] == {"nondeterministic": "RandomNormal"}
    assert sized["notes"]["nondeterministic"] == "RandomUniform"
    assert "may depend on chance" in sized["notes"]["unbound_outputs"]
    assert "changes by" in unnamed["notes"]["stateful"]  # nobody said why, and loaded afresh it is the same


@pytest.mark.parametrize(
    ("content", "more", "notes"),
    [
        (tflite_kit.of_two_inputs(["", ""]), {}, []),
        (tflite_kit.of_two_inputs(["x", "x"], signature=[-1, 4]),
         {"inputs": [{"name": f"#{position}", "shape": [3, 4], "dtype": "float32"} for position in range(2)]}, []),
        (tflite_kit.with_init_subgraph(), {}, []), (tflite_kit.recurrent(), {}, ["stateful"]),
        (tflite_kit.counting(), {}, ["stateful"]), (tflite_kit.silent_at_first(), {}, ["stateful"]),
        (tflite_kit.random_uniform(), {"random": ["RANDOM_UNIFORM"]}, ["nondeterministic"]),
    ],
    ids=["no names", "one name", "init", "variables", "resources", "a state that shows late", "random"],
)  # fmt: skip
def test_tflite_files_with_a_life_of_their_own(start, bench, probed, tmp_path, content, more, notes):
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    (event,) = probed((path, more))
    assert (event.get("detail"), list(event["notes"])) == (None, notes)
    if not more:
        assert of_type(measured(start, bench, path, "tflite"), "slice")
