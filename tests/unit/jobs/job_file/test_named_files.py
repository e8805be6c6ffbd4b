from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.named_files import LONGEST_NAME, LONGEST_PART, named_paths, require_name, require_own_folder
from lutfarm_jobs.spec import JobSpec, parse_job


def job(*workloads: dict[str, object]) -> JobSpec:
    content = {"name": "a", "workloads": list(workloads), "devices": ["desk"], "backends": [{"runtime": "onnxruntime"}]}
    return parse_job(content, source="job.yaml")


def test_every_field_that_names_a_file_is_known() -> None:
    spec = job(
        {"space": "spaces/mine.yaml"},
        {"space": "fbnet-32"},
        {
            "models": ["a.onnx", "nets/*.tflite"],
            "values": {"x": {"file": "x.npz", "array": "x"}, "y": "y.npy", "z": "ones", "n": 3},
        },
        {"models": ["b.onnx"], "test_data": "data"},
    )
    assert list(named_paths(spec)) == [
        ("workloads[0].space", "spaces/mine.yaml"),
        ("workloads[2].models", "a.onnx"),
        ("workloads[2].models", "nets/*.tflite"),
        ("workloads[2].values.x", "x.npz"),
        ("workloads[2].values.y", "y.npy"),
        ("workloads[3].models", "b.onnx"),
        ("workloads[3].test_data", "data"),
    ]
    require_own_folder(spec)


def test_a_space_that_carries_its_definition_needs_no_file() -> None:
    spec = job({"space": "/elsewhere/mine.yaml", "definition": {"name": "mine"}})
    assert list(named_paths(spec)) == []
    require_own_folder(spec)


@pytest.mark.parametrize("path", ["/a", "../a", "a/..", "a/../b", "..", "a/../../b", "a\0"])
def test_a_path_that_leads_out_is_refused_wherever_it_stands(path: str) -> None:
    for workload in (
        {"models": [path]},
        {"models": ["a.onnx"], "test_data": path},
        *([] if "\0" in path else [{"models": ["a.onnx"], "values": {"x": {"file": path}}}]),
        {"space": f"{path}/x.yaml"},
    ):
        with pytest.raises(SpecError, match=r"workloads\[0\]\.\w+.*lies outside the job's folder"):
            require_own_folder(job(workload))


@pytest.mark.parametrize("path", ["a..b.onnx", "...", ".hidden/a.onnx", "a/**/*.onnx", "./a.onnx", "[.][.]/a.onnx"])
def test_dots_alone_lead_nowhere(path: str) -> None:
    require_own_folder(job({"models": [path]}))


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "", "a", "é", "/", "\\", "\0"]), max_size=6).map("/".join))
def test_a_name_that_is_taken_stays_in_its_folder(name: str) -> None:
    try:
        require_name(name)
    except SpecError:
        return
    joined = posixpath.normpath(posixpath.join("/folder", name))
    assert joined.startswith("/folder/")
    assert joined == f"/folder/{name}"
    assert name.isprintable()


@pytest.mark.parametrize("name", ["a.onnx", "nets/a b.onnx", ".hidden", "größe/模型.onnx", "a" * LONGEST_PART])
def test_a_name_of_a_file_is_taken(name: str) -> None:
    require_name(name)


@pytest.mark.parametrize("name", ["a" * (LONGEST_PART + 1), "é" * LONGEST_PART, "/".join(["a"] * 17), "a/" * LONGEST_NAME + "b"])
def test_a_name_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="too long"):
        require_name(name)
