"""What a job file may say, and what is said of one that can't be used."""

from typing import Any

import pytest

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.workloads import ModelsWorkload, OperatorsWorkload, SpaceWorkload
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.spec import parse_job, stored_job


def _job(**changes: Any) -> dict[str, Any]:
    job: dict[str, Any] = {
        "name": "a-job",
        "workloads": [{"space": "fbnet-224"}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}],
    }
    return job | changes


def test_the_three_kinds_of_workload_are_told_apart_by_their_own_field() -> None:
    spec = parse_job(
        _job(
            workloads=[
                {"space": "fbnet-224", "every": 6, "networks": 20},
                {"operators": ["conv_x"]},
                {"models": ["*.onnx"], "inputs": {"x": [1, 3, 48, 320]}},
            ]
        ),
        source="job.yaml",
    )
    assert [type(w) for w in spec.workloads] == [SpaceWorkload, OperatorsWorkload, ModelsWorkload]


def test_a_backend_becomes_the_value_that_travels() -> None:
    spec = parse_job(_job(backends=[{"runtime": "tflite", "threads": 2}]), source="job.yaml")
    assert spec.backends[0].value == Backend("tflite", threads=2)


def test_the_id_names_the_content_and_not_its_layout() -> None:
    one = parse_job(_job(), source="a.yaml")
    same = parse_job(dict(reversed(_job().items())), source="b.yaml")
    other = parse_job(_job(sampling={"rounds": 6}), source="a.yaml")
    assert one.id == same.id
    assert one.id.startswith("a-job-")
    assert one.id != other.id


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "no spaces please"}, "name"),
        ({"name": "-rf"}, "name"),
        ({"workload": []}, "workload: unknown field"),
        ({"workloads": []}, "workloads"),
        ({"workloads": [{"spase": "fbnet-224"}]}, "workloads[0]: a workload needs one of"),
        ({"workloads": [{"space": "fbnet-224", "evry": 2}]}, "workloads[0].evry: unknown field"),
        ({"workloads": [{"space": "fbnet-224", "operators": "none"}]}, "asks for nothing"),
        ({"workloads": [{"operators": []}]}, "workloads[0].operators"),
        ({"workloads": [{"models": ["a.onnx"], "inputs": {"x": [-1]}}]}, "workloads[0].inputs.x[0]"),
        ({"workloads": [{"space": "fbnet-224", "runtimes": ["tflite"]}]}, "which no backend has"),
        ({"workloads": [3]}, "workloads[0]: a workload needs one of"),
        ({"devices": []}, "devices"),
        ({"devices": [{"label": {}}]}, "devices[0].label"),
        ({"devices": [{"lable": {"a": "b"}}]}, "devices[0]"),
        ({"backends": [{"runtime": "tensorrt"}]}, "backends[0].runtime"),
        ({"backends": [{"runtime": "tflite", "threads": 0}]}, "backends[0].threads"),
        ({"backends": [{"runtime": "tflite", "threads": True}]}, "a whole number is needed"),
        ({"backends": [{"runtime": "tflite", "threads": 1.0}]}, "a whole number is needed"),
        ({"backends": [{"runtime": "tflite", "precision": "int7"}]}, "backends[0].precision"),
        ({"sampling": {"target_relative_interval": 0}}, "sampling.target_relative_interval"),
        ({"sampling": {"target_relative_interval": float("nan")}}, "sampling.target_relative_interval"),
        ({"sampling": {"rounds": -1}}, "sampling.rounds"),
        ({"sampling": {"rounds": 2, "minimum_rounds": 3}}, "minimum_rounds 3 is more than rounds 2"),
        ({"sampling": {"device_time_budget_s": float("inf")}}, "sampling.device_time_budget_s"),
        ({"sampling": {"confidence": 1.5}}, "sampling.confidence"),
        ({"fresh": "perhaps"}, "fresh"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_field(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_job(_job(**changes), source="job.yaml")
    assert caught.value.detail.startswith("job.yaml: ")
    assert said in caught.value.detail


@pytest.mark.parametrize("content", [None, [], "name: x", 3])
def test_a_job_is_a_mapping(content: object) -> None:
    with pytest.raises(SpecError, match=r"job\.yaml: a job is a mapping"):
        parse_job(content, source="job.yaml")


def test_hostile_values_are_quoted_briefly() -> None:
    with pytest.raises(SpecError) as caught:
        parse_job(_job(name="x" * 100_000), source="job.yaml")
    assert len(caught.value.detail) < 1_000


def test_many_problems_are_counted_not_listed() -> None:
    with pytest.raises(SpecError, match="and 5 more"):
        parse_job(_job(backends=[{"runtime": "x"}] * 15), source="job.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devices": "desk"}, "devices: a list is needed, such as [a, b] (seen: 'desk')"),
        ({"devices": []}, "devices: at least 1 item is needed, not 0"),
        ({"devices": [{"label": {}}]}, "devices[0].label: at least 1 item is needed, not 0"),
        ({"backends": ["onnxruntime"]}, "backends[0]: fields are needed, such as {key: value} (seen: 'onnxruntime')"),
        ({"name": 3}, "name: a text is needed (seen: 3)"),
        ({"sampling": {"rounds": 0}}, "sampling.rounds: 1 or more is needed (seen: 0)"),
        ({"fresh": "maybe"}, "fresh: true or false is needed (seen: 'maybe')"),
    ],
)
def test_problems_are_said_in_words_of_the_file(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_job(_job(**changes), source="job.yaml")
    assert caught.value.detail == f"job.yaml: {said}"


def test_a_stored_job_of_a_runtime_that_is_gone_is_refused_by_its_name() -> None:
    text = parse_job(_job(), source="job.yaml").model_dump_json()
    assert stored_job(text) == parse_job(_job(), source="job.yaml")
    with pytest.raises(SpecError, match=r"the stored job can't be read here: .*there is no runtime 'plain_ort'"):
        stored_job(text.replace('"onnxruntime"', '"plain_ort"'))
