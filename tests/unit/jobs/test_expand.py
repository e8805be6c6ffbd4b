"""From a job to measurements: each once, in the file's order, zero entries apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lutfarm_jobs import expand as expansion
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand, nothings
from lutfarm_jobs.graphs.graph_bytes import graph_bytes
from lutfarm_jobs.measurement import InputShape
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.operators import graph_of
from lutfarm_jobs.sources import ModelFile, Sources
from lutfarm_jobs.spec import JobSpec, parse_job

CONV = "conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"
ONNX = ModelFile(
    Path("m.onnx"),
    "ab" * 32,
    "onnx",
    (InputShape("x", (1, 3, 8, 8), "float32"),),
    name="m.onnx",
    precision="fp32",
    batch_size=1,
    takes="x float32[1, 3, 8, 8]",
)
TFLITE = ModelFile(
    Path("m.tflite"), "cd" * 32, "tflite", (), name="m.tflite", precision="int8", batch_size=8, takes="x int8[8, 4]"
)
UNTOLD = replace(ONNX, sha256="ef" * 32, inputs=(), precision="", batch_size=None)


def job(*workloads: dict[str, Any], runtimes: tuple[str, ...] = ("onnxruntime",)) -> JobSpec:
    return parse_job(
        {
            "name": "j",
            "workloads": list(workloads),
            "devices": ["desk"],
            "backends": [{"runtime": runtime} for runtime in runtimes],
        },
        source="job",
    )


def sources(spec: JobSpec, **models: tuple[ModelFile, ...]) -> Sources:
    named = {w.space: spaces.load(w.space) for w in spec.workloads if hasattr(w, "space")}
    return Sources(named, {int(position[1:]): files for position, files in models.items()})


def keys(spec: JobSpec, *devices: str, **models: tuple[ModelFile, ...]) -> list[str]:
    return [m.key for m in expand(spec, sources(spec, **models), devices or ("desk",))]


def test_a_key_can_be_read() -> None:
    assert keys(job({"operators": [CONV]})) == [f"latency/operator:{CONV}/desk/onnxruntime-cpu-t1-fp32/b1-steady"]


def test_every_operator_of_a_space_but_those_that_are_nothing() -> None:
    spec = job({"space": "fbnet-224"})
    assert len(keys(spec)) == len(set(keys(spec))) == 106
    assert len(nothings(spec, sources(spec))) == 6


def test_node_additions_are_measured_too() -> None:
    assert sum("operator:add_" in key for key in keys(job({"space": "nas-bench-201-cifar10"}))) == 3


def test_what_a_runtime_computes_apart_is_measured_there_alone() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    spec = job({"space": space.name}, runtimes=("onnxruntime", "tflite_benchmark_model"))
    merging, plain = (
        {key.split("/")[1] for key in keys(spec) if f"/{runtime}-" in key}
        for runtime in ("onnxruntime", "tflite_benchmark_model")
    )
    apart = {*space.under("onnxruntime").extras()} - {*space.operators(), *space.extras()}
    assert plain < merging
    assert merging - plain == {f"operator:{operator.key}" for operator in apart}
    selected = keys(job({"space": space.name, "every": 2}, runtimes=("onnxruntime", "tflite_benchmark_model")))
    assert len(selected) == 2 * -(-len(plain) // 2)


def test_the_same_networks_tell_operators_whatever_is_merged() -> None:
    spec = job({"space": "nas-bench-201-cifar10", "composition": "in_network", "networks": 6})
    assert sum("network:" in key for key in keys(spec)) == len(keys(spec)) == 6


def test_the_same_measurement_is_made_once() -> None:
    assert len(keys(job({"operators": [CONV, CONV]}, {"operators": [CONV]}, {"space": "fbnet-224", "every": 106}))) == 2


def test_a_selection_takes_each_nth() -> None:
    every, sixth = (keys(job({"space": "fbnet-224", "every": n})) for n in (1, 6))
    assert sixth == every[::6]


def test_devices_and_backends_multiply() -> None:
    found = keys(job({"operators": [CONV]}, runtimes=("onnxruntime", "tflite")), "u1", "u2")
    assert [key.split("/")[2:4] for key in found] == [
        ["u1", "onnxruntime-cpu-t1-fp32"],
        ["u1", "tflite-cpu-t1-fp32"],
        ["u2", "onnxruntime-cpu-t1-fp32"],
        ["u2", "tflite-cpu-t1-fp32"],
    ]


def test_a_workload_may_be_for_some_runtimes_only() -> None:
    spec = job({"operators": [CONV], "runtimes": ["tflite"]}, runtimes=("onnxruntime", "tflite"))
    assert [key.split("/")[3] for key in keys(spec)] == ["tflite-cpu-t1-fp32"]


def test_networks_are_drawn_by_seed() -> None:
    def drawn(seed: int) -> list[str]:
        return keys(job({"space": "fbnet-224", "operators": "none", "networks": 5, "seed": seed}))

    assert len(drawn(0)) == 5
    assert drawn(0) == drawn(0) != drawn(1)
    assert all(key.startswith("latency/network:fbnet-224:") for key in drawn(0))


def test_a_model_runs_on_the_runtime_of_its_format() -> None:
    spec = job({"models": ["*"]}, runtimes=("onnxruntime", "tflite"))
    found = keys(spec, w0=(ONNX, TFLITE))
    assert found == [
        "latency/file:m.onnx@abababababab[x=1x3x8x8]/desk/onnxruntime-cpu-t1-fp32/b1-steady",
        "latency/file:m.tflite@cdcdcdcdcdcd/desk/tflite-cpu-t1-int8/b8-steady",
    ]


def test_what_a_file_does_not_tell_is_left_out() -> None:
    spec = job({"operators": [CONV]}, {"models": ["*"]})
    assert keys(spec, w1=(UNTOLD,)) == [
        f"latency/operator:{CONV}/desk/onnxruntime-cpu-t1-fp32/b1-steady",
        "latency/file:m.onnx@efefefefefef/desk/onnxruntime-cpu-t1/steady",
    ]


def precise(*backends: tuple[str, str | None], workloads: tuple[dict[str, Any], ...] = ({"models": ["*"]},)) -> JobSpec:
    named = [{"runtime": runtime} | ({"precision": said} if said else {}) for runtime, said in backends]
    return parse_job({"name": "j", "workloads": list(workloads), "devices": ["desk"], "backends": named}, source="job")


def test_a_backend_that_says_a_precision_runs_what_has_it() -> None:
    other = replace(ONNX, path=Path("n.onnx"), sha256="01" * 32, inputs=(), precision="int8+fp32", name="n.onnx")
    both = precise(("onnxruntime", "fp32"), ("onnxruntime", "fp32+int8"))
    assert [key.split("/")[3] for key in keys(both, w0=(ONNX, other))] == [
        "onnxruntime-cpu-t1-fp32",
        "onnxruntime-cpu-t1-int8+fp32",
    ]
    assert len(keys(precise(("onnxruntime", None)), w0=(ONNX, other))) == 2


@pytest.mark.parametrize(
    ("backends", "model", "said"),
    [
        ([("onnxruntime", "int8")], ONNX, r"m\.onnx computes in fp32, .*precision: int8; .*or say precision: fp32"),
        ([("tflite", "fp32")], TFLITE, r"m\.tflite computes in int8, .*precision: fp32; .*or say precision: int8"),
        ([("onnxruntime", "fp32")], UNTOLD, "does not tell in what precision it computes.*leave precision out"),
        ([("onnxruntime", None), ("onnxruntime", "int8")], ONNX, r"backends\[1\] says precision: int8.*there is: fp32"),
    ],
)
def test_a_precision_that_a_file_does_not_have_is_refused(
    backends: list[tuple[str, str | None]], model: ModelFile, said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        keys(precise(*backends), w0=(model,))


def test_operators_are_built_in_fp32_and_in_nothing_else() -> None:
    with pytest.raises(SpecError, match=r"is built in fp32, .*precision: int8"):
        keys(precise(("onnxruntime", "int8"), workloads=({"operators": [CONV]},)))
    with pytest.raises(SpecError, match=r"backends\[0\]\.precision.*unknown precision 'int7'"):
        precise(("onnxruntime", "int7"))


def test_one_file_in_two_places_is_one_measurement_that_names_both() -> None:
    elsewhere = replace(UNTOLD, path=Path("b/m.onnx"), name="b/m.onnx")
    spec = job({"models": ["*"]})
    (found,) = expand(spec, sources(spec, w0=(replace(UNTOLD, name="a/m.onnx"), elsewhere)), ["desk"])
    assert found.workload.path == "a/m.onnx, b/m.onnx"
    assert found.label == f"{found.key} (a/m.onnx, b/m.onnx)"


def test_a_canary_is_the_same_whatever_it_stands_beside() -> None:
    spec = job({"operators": [CONV]}, {"models": ["*"]}, runtimes=("onnxruntime", "tflite"))
    found = keys(spec, w1=(ONNX, UNTOLD, TFLITE))
    assert {MeasurementKey.parse(key).canary for key in found} == {
        ("onnxruntime-cpu-t1-fp32", "b1-steady"),
        ("tflite-cpu-t1-fp32", "b1-steady"),
    }
    assert {MeasurementKey.parse(key).process for key in found} == {("onnxruntime-cpu-t1", "steady"), ("tflite-cpu-t1", "steady")}


def test_a_model_that_no_backend_runs_is_an_error_that_says_what_to_add() -> None:
    with pytest.raises(SpecError, match="add `- runtime: tflite`"):
        keys(job({"models": ["*"]}), w0=(TFLITE,))


def test_an_operator_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(SpecError, match=r"workloads\[1\]\.operators\[1\]"):
        keys(job({"space": "fbnet-224"}, {"operators": [CONV, "conv_x"]}))


def test_a_job_of_nothing_is_an_error() -> None:
    spec = job({"operators": ["identity_H8_W8_C8"]})
    with pytest.raises(SpecError, match="nothing by structure"):
        keys(spec)
    assert nothings(spec, sources(spec)) == ("identity_H8_W8_C8",)


def test_a_job_of_more_measurements_than_a_farm_plans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = job({"space": "fbnet-224"})
    monkeypatch.setattr(expansion, "MOST_MEASUREMENTS", 106)
    assert len(keys(spec)) == 106
    monkeypatch.setattr(expansion, "MOST_MEASUREMENTS", 105)
    with pytest.raises(SpecError, match="asks for 106 measurements; 105 is the most"):
        keys(spec)


def test_a_thousand_shapes_make_a_key_that_a_database_can_index() -> None:
    def key(size: int) -> str:
        shapes = tuple(InputShape(f"past_key_values.{number}", (1, size, 64), "float32") for number in range(1000))
        return keys(job({"models": ["m.onnx"]}), w0=(ModelFile(Path("m.onnx"), "ab" * 32, "onnx", shapes),))[0]

    assert key(0).startswith("latency/file:m.onnx@abababababab[1000 shapes.")
    assert len(key(0)) < 150
    assert key(0) != key(1)


def test_a_refused_file_has_a_key_of_its_own() -> None:
    (bad,) = keys(job({"models": ["m.tflite"]}, runtimes=("tflite",)), w0=(replace(TFLITE, refused="it is damaged"),))
    assert bad == "latency/file:m.tflite@cdcdcdcdcdcd{refused}/desk/tflite-cpu-t1-int8/b8-steady"


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("conv_H50000_W50000_Cin3_Cout8_k1_s1_g1_relu", "110,000,000,128"),
        ("conv_H1_W1_Cin50000_Cout50000_k1_s1_g1_relu", "10,000,600,000"),
    ],
)
def test_an_operator_that_no_machine_should_build_is_refused_with_its_size_and_the_limit(key: str, size: str) -> None:
    with pytest.raises(SpecError, match=rf"workloads\[0\].operators\[1\]: {key} takes {size} bytes .* 2,000,000,000 is the most"):
        keys(job({"operators": [CONV, key]}))


def test_an_operator_of_a_space_is_refused_for_its_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 3 * 224 * 224 * 4
    monkeypatch.setattr(expansion, "MOST_MODEL_BYTES", largest)
    with pytest.raises(SpecError, match=rf"workloads\[0\].space: \w+ takes [\d,]+ bytes .* {largest:,} is the most"):
        keys(job({"space": "fbnet-224", "operators": "none", "networks": 1}))


def test_a_network_of_a_space_of_ones_own_is_refused_for_its_size_though_its_operators_are_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = job({"space": "fbnet-224", "operators": "none", "networks": 1})
    found = sources(spec)
    own = replace(found, definitions={"fbnet-224": {}})
    space = found.spaces["fbnet-224"]
    operators = max(graph_bytes(graph_of(one)) for one in (*space.operators(), *space.extras()) if not one.is_nothing)
    monkeypatch.setattr(expansion, "MOST_MODEL_BYTES", operators)
    with pytest.raises(SpecError, match=rf"workloads\[0\].space: fbnet-224:\S+ takes [\d,]+ bytes .* {operators:,} is the most"):
        expand(spec, own, ("desk",))
    assert expand(spec, found, ("desk",)), "nobody draws a known space's networks too large"
