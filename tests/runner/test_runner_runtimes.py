"""Real runtimes with small real models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.runner.conftest import LIMITS, of_type

from lutfarm_jobs.graphs.evaluate import evaluate, input_values
from lutfarm_jobs.graphs.graph import Graph, Node, Tensor
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.round import Slicing

SHAPE = (1, 8, 12, 10)
SEED = 3


def convolution() -> Graph:
    graph = Graph("small", SHAPE)
    output = Tensor(0, SHAPE)
    graph.nodes.append(Node("convolution", (graph.input,), output, kernel=3, padding=(1, 1, 1, 1), activation="relu"))
    graph.outputs.append(output)
    return graph


def reference(layout: str) -> dict[str, object]:
    """What the host sends along: the reference output in the model's own layout."""
    values = input_values(SHAPE, seed=SEED)
    output = evaluate(convolution(), values, draw(convolution()).weights)[-1]
    flat = (output if layout == "as_is" else output.transpose(0, 2, 3, 1)).ravel()
    positions = list(range(0, flat.size, 7))
    return {
        "positions": positions,
        "values": [float(flat[p]) for p in positions],
        "largest": float(np.abs(flat).max()),
        "tolerance": 1e-4,
    }


@pytest.fixture(params=["onnxruntime", "tflite"])
def small(request, tmp_path, bench):
    """A convolution as a workload of one of the runtimes."""
    runtime = request.param
    content = write_onnx(convolution()) if runtime == "onnxruntime" else write_tflite(convolution())
    path = tmp_path / f"small.{runtime}"
    path.write_bytes(content)
    layout = "as_is" if runtime == "onnxruntime" else "nhwc"
    return bench.workload(
        0, path=str(path), runtime=runtime, input_layout=layout, seed=SEED, expected=reference(layout), iteration_ns=None
    )


def onnx_file(path, *nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, list(initializers))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def probe(session, bench, *workloads, **changes):
    return session.ask("probe", **{**bench.probe({}), "workloads": list(workloads), **changes})


def test_probe_agrees_with_the_reference_and_measures(start, bench, small):
    probed, _done = probe(start(), bench, small)
    assert 0 <= probed["agreement"] < 1e-4
    assert probed["load_ns"] > 0
    assert probed["first_inference_ns"] > 0
    assert 0 < probed["floor_ns"] < 1_000_000
    assert probed["iteration_ns"] > 0
    assert 0 < probed["model_memory_bytes"] < 64 << 20
    assert probed["peak_memory_bytes"] < 150 << 20


def test_a_wrong_layout_or_seed_is_seen(start, bench, small):
    other = "nhwc" if small["input_layout"] == "as_is" else "as_is"
    events = probe(start(), bench, {**small, "input_layout": other}, {**small, "id": 1, "seed": SEED + 1})
    assert [event["code"] for event in of_type(events, "probed")] == ["Unstable", "Unstable"]


@pytest.mark.parametrize("threads", [1, 2])
def test_round_measures(start, bench, small, threads):
    small = {**small, "threads": threads}
    plan = {**asdict(Slicing(passes=4)), "gate_ratio": 1000.0}
    canary = {"path": small["path"], "runtime": small["runtime"], "threads": threads, "reference_ns": None}
    workloads = [{**small, "id": number} for number in range(3)]
    events = start().ask("round", workloads=workloads, slicing=plan, seed=1, canary=canary, limits=LIMITS, cpus=[])
    [started] = of_type(events, "started")
    assert started["reference_provisional"] is True
    assert started["canary_reference_ns"] > 0
    assert [event["id"] for event in of_type(events, "loaded")] == [0, 1, 2]
    slices = of_type(events, "slice")
    assert {(event["id"], event["pass"]) for event in slices} <= {(n, p) for n in range(3) for p in range(4)}
    assert all(value > 0 for event in slices for value in event["samples_ns"])
    [ended] = of_type(events, "ended")
    assert set(ended["spent_ns"]) == {"import", "load", "warmup", "canary", "slices", "wait", "other"}
    assert ended["spent_ns"]["slices"] >= sum(event["wall_ns"] for event in slices)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_broken_files_are_failures_of_the_workload(start, bench, small, tmp_path, content):
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    bad = {**small, "path": str(path), "expected": None}
    first, second, _done = probe(start(), bench, bad, {**small, "id": 1})
    assert first["code"] == "WorkloadFailed"
    assert "loading" in first["detail"]
    assert second["agreement"] < 1e-4


def test_a_truncated_file_does_not_end_the_template(start, bench, small, tmp_path):
    path = tmp_path / "cut"
    whole = Path(small["path"]).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    first, second, _done = probe(start(), bench, {**small, "path": str(path)}, {**small, "id": 1})
    assert first["code"] in ("WorkloadFailed", "OutOfMemory", "Unstable")
    assert second["agreement"] < 1e-4


def test_a_tiny_file_that_asks_for_40_gb_is_out_of_memory(start, bench, tmp_path):
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [100_000, 100_000])
    path = onnx_file(
        tmp_path / "huge.onnx",
        helper.make_node("ConstantOfShape", ["s"], ["h"]),
        helper.make_node("ReduceSum", ["h"], ["r"], keepdims=0),
        helper.make_node("Add", ["r", "x"], ["y"]),
        inputs=[floats("x", 1)],
        outputs=[floats("y", 1)],
        initializers=[shape],
    )
    events = probe(start(), bench, bench.workload(0, path=path, runtime="onnxruntime"))
    assert events[0]["code"] == "OutOfMemory", events[0]


def test_an_operator_that_no_runtime_has(start, bench, tmp_path):
    node = helper.make_node("Dance", ["x"], ["y"], domain="nowhere")
    path = onnx_file(tmp_path / "custom.onnx", node, inputs=[floats("x", 1)], outputs=[floats("y", 1)])
    events = probe(start(), bench, bench.workload(0, path=path, runtime="onnxruntime"))
    assert events[0]["code"] == "WorkloadFailed"
    assert "nowhere" in events[0]["detail"] or "Dance" in events[0]["detail"]


def test_dynamic_shapes_have_to_be_given(start, bench, tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    path = onnx_file(tmp_path / "dynamic.onnx", node, inputs=[floats("x", "n", 3)], outputs=[floats("y", "n", 3)])
    free = bench.workload(0, path=path, runtime="onnxruntime")
    fixed = {**free, "id": 1, "inputs": [{"name": "x", "shape": [4, 3], "dtype": "float32"}]}
    unknown = {**free, "id": 2, "inputs": [{"name": "z", "shape": [4, 3], "dtype": "float32"}]}
    first, second, third, _done = probe(start(), bench, free, fixed, unknown)
    assert "dynamic shape ['n', 3]" in first["detail"]
    assert second["iteration_ns"] > 0
    assert "no input 'z'" in third["detail"]


@pytest.mark.parametrize(
    ("dtype", "code"),
    [(TensorProto.INT64, None), (TensorProto.BOOL, None), (TensorProto.FLOAT16, None), (TensorProto.STRING, "WorkloadFailed")],
)
def test_input_types(start, bench, tmp_path, dtype, code):
    info = [helper.make_tensor_value_info(name, dtype, [2]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    path = onnx_file(tmp_path / "typed.onnx", node, inputs=info[:1], outputs=info[1:])
    assert probe(start(), bench, bench.workload(0, path=path, runtime="onnxruntime"))[0].get("code") == code


def test_a_missing_runtime_is_not_ready_and_names_itself(start, bench, small, interpreters):
    for python in filter(None, interpreters.values()):
        session = start(python, greet=False)
        if {"onnxruntime", "ai-edge-litert", "tflite-runtime"} & set(session.receive()["runtimes"]):
            continue
        refused, _done = probe(session, bench, small)
        assert refused["code"] == "NotReady"
        assert small["runtime"] in refused["detail"]
        return
    pytest.skip("every Python on this machine has a runtime")


def test_a_thousand_workloads_in_one_round(start, bench):
    model = bench.model(iteration_ns=2_000)
    order = bench.round({}, slicing={"passes": 2, "gate_ratio": 1000.0, "slice_ns": 4_000})
    order["workloads"] = [bench.workload(number, path=model, iteration_ns=2_000) for number in range(1000)]
    events = start().ask("round", **order)
    assert len(of_type(events, "loaded")) == 1000
    slices = of_type(events, "slice")
    assert {event["id"] for event in slices} == set(range(1000))
    assert events[-2]["type"] == "ended"


def test_a_runtimes_own_profiler_times_the_nodes_and_leaves_nothing_behind(start, bench, small, tmp_path):
    plan = {**asdict(Slicing(passes=6, profile=2)), "gate_ratio": 1000.0, "long_ns": 1}
    canary = {"path": small["path"], "runtime": small["runtime"], "threads": 1, "reference_ns": None}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    events = start(env={"TMPDIR": str(scratch)}).ask(
        "round",
        workloads=[{**small, "id": number} for number in range(2)],
        slicing=plan,
        seed=1,
        canary=canary,
        limits=LIMITS,
        cpus=[],
    )
    assert of_type(events, "ended")
    found = of_type(events, "nodes")
    if small["runtime"] == "tflite":  # it has no profiler in Python
        assert found == []
        return
    assert [event["id"] for event in found] == [0, 1]
    for event in found:
        assert any(node["operator"] in ("Conv", "FusedConv") and node["lower_mean_ns"] >= 0 for node in event["nodes"])
        assert {node["count"] for node in event["nodes"]} == {6 * 2 + 1 - 3}
    assert list(scratch.iterdir()) == []
