"""What works where Ray is not installed: all but Ray."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Python finds everything but Ray, as a module and as a distribution.
SITE = """
import sys
from importlib.machinery import PathFinder

class WithoutRay(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.partition(".")[0] == "ray" else super().find_spec(fullname, path, target)

    @classmethod
    def find_distributions(cls, *context):
        return () if context and context[0].name == "ray" else super().find_distributions(*context)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutRay
"""
JOB = """
name: small
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]
devices: [desk]
backends: [{runtime: onnxruntime}]
sampling: {rounds: 2, stop: rounds}
"""
SAID = "Ray is not installed, so this process measures; to measure through Ray: pip install 'lutfarm[ray]'"


@pytest.fixture
def bare(lutfarm: Callable, tmp_path: Path) -> Callable:
    """`lutfarm ARGS` in a Python that has no Ray."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    found = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return lambda *words: lutfarm(*words, PYTHONPATH=found)


def test_a_job_is_measured_in_this_process_which_is_said_once(bare: Callable, job_file: Callable, tmp_path: Path) -> None:
    assert bare("device", "register", "desk", "--local").returncode == 0
    path = job_file(JOB)
    planned = bare("plan", path)
    assert planned.returncode == 0, planned.stderr
    assert "Ray" not in planned.stderr
    ran = bare("run", path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count(SAID) == 1
    assert "1 of 1 measurements done" in ran.stderr
    table = tmp_path / "table.json"
    for words in (
        ("run", path),
        ("lut", "export", "small", "--out", table),
        ("lut", "show", table),
        ("status",),
        ("job", "show", "small"),
    ):
        done = bare(*words)
        assert done.returncode == 0, done.stderr
        assert "Ray" not in done.stderr


def test_ray_that_is_asked_for_is_refused_with_what_to_install(bare: Callable, job_file: Callable) -> None:
    refused = bare("run", job_file(JOB), "--executor", "ray")
    assert refused.returncode == 2
    assert "Ray is not installed: pip install 'lutfarm[ray]'" in refused.stderr


def test_the_doctor_notes_that_ray_is_not_installed(bare: Callable) -> None:
    found = {each["what"]: each for each in json.loads(bare("doctor", "--json").stdout)}
    assert (found["ray"]["state"], found["ray"]["seen"]) == ("note", "not installed")
    assert found["onnxruntime"]["state"] == "ok"
