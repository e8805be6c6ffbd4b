"""Model files that can't be used, beside others that can."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tflite_kit

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand, resolve
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, parse_job


def job(*models: str, **more: object) -> JobSpec:
    return parse_job(
        {"name": "j", "workloads": [{"models": list(models), **more}], "devices": ["desk"], "backends": [{"runtime": "tflite"}]},
        source="job",
    )


def reasons(found: Sources) -> dict[str, str]:
    return {model.path.name: model.refused for model in found.models[0]}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.tflite").write_bytes(tflite_kit.of_two_inputs(["a", "b"]))
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "cut.tflite").write_bytes(tflite_kit.of_two_inputs(["a", "b"])[:40])
    return tmp_path


def test_they_are_failures_that_name_the_file_and_the_others_are_measured(files: Path) -> None:
    spec = job("*.tflite")
    found = resolve(spec, files)
    said = reasons(found)
    assert said["good.tflite"] == ""
    assert said["empty.tflite"] == f"{files}/empty.tflite: is empty (0 bytes); export or download it again"
    assert f"{files}/cut.tflite: can't be used as .tflite" in said["cut.tflite"]
    plan = expand(spec, found, ["desk"])
    assert [bool(m.workload.refused) for m in plan] == [True, True, False]


def test_a_job_of_nothing_else_is_refused(files: Path) -> None:
    with pytest.raises(SpecError, match=r"cut\.tflite: can't be used.*\(and 1 more model files that can't be used\)"):
        resolve(job("cut.tflite", "empty.tflite"), files)
    with pytest.raises(SpecError, match=r"empty\.tflite: is empty \(0 bytes\); export or download it again$"):
        resolve(job("empty.tflite"), files)


def test_test_data_that_can_not_be_used_is_one_models_failure(files: Path) -> None:
    for name in ("one", "two"):
        (files / name).mkdir()
        (files / name / "model.tflite").write_bytes(tflite_kit.of_two_inputs(["a", name]))
    (files / "one" / "data").mkdir()
    said = [model.refused for model in resolve(job("*/model.tflite", test_data="data"), files).models[0]]
    assert "should hold input_0.pb" in said[0] or said[0] == ""
    assert "can't be read: No such file" in said[1]


@pytest.mark.parametrize("name", ["link.tflite", "other.txt"])
def test_what_the_job_should_not_name_is_the_jobs_fault(files: Path, name: str) -> None:
    (files / name).symlink_to(files / "good.tflite")
    with pytest.raises(SpecError, match=name):
        resolve(job("good.tflite", name), files)
