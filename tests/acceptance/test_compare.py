"""`lutfarm compare` with the real onnxruntime: an interpreter whose runtime is slow, and one that is the same."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = """\
name: c
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k3_s1_g1_relu, conv_H28_W28_Cin8_Cout16_k3_s1_g1_relu]
devices: [desk]
backends: [{runtime: onnxruntime}]
sampling: {passes: 4}
"""
# A call takes three times as long, whatever it computes.
SLOW = """\
import importlib.abc, importlib.util, sys, time

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "onnxruntime":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            run = module.InferenceSession.run_with_iobinding

            def slow(self, *args, **kwargs):
                began = time.perf_counter_ns()
                run(self, *args, **kwargs)
                end = time.perf_counter_ns()
                while time.perf_counter_ns() < end + 2 * (end - began):
                    pass

            module.InferenceSession.run_with_iobinding = slow

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


UNDECIDED = 5


def interpreter(place: Path, *, slow: bool) -> Path:
    """An environment that borrows this one's packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    packages = next(place.glob("lib/python*/site-packages"))
    mine = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_paths()["purelib"]]
    (packages / "borrowed.pth").write_text("\n".join([*mine, *(["import slowed"] if slow else [])]) + "\n")
    if slow:
        (packages / "slowed.py").write_text(SLOW)
    return place / "bin" / "python"


@pytest.fixture(autouse=True)
def devices(lutfarm: Callable, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    for name in ("desk", "twin", "slow"):
        python = interpreter(tmp_path / name, slow=name == "slow")
        registered = lutfarm("device", "register", name, "--local", "--python", python)
        assert registered.returncode == 0, registered.stderr


def compare(lutfarm: Callable, *args: str) -> subprocess.CompletedProcess[str]:
    return lutfarm("compare", "job.yaml", "--a", "device=desk", "--executor", "local", "--rounds", "4", *args)


def test_a_slower_runtime_ends_with_1_the_same_one_with_0_and_nothing_is_measured_twice(
    lutfarm: Callable, tmp_path: Path
) -> None:
    """On a machine that others keep busy too few pairs may be quiet: then it is undecided, and never the wrong way round."""
    slow = compare(lutfarm, "--b", "device=slow", "--out", "p.svg")
    assert slow.returncode in (1, UNDECIDED), slow.stderr
    if slow.returncode == 1:
        assert "slower, beyond the margin" in slow.stdout
        assert "slower: overall, B is slower than A by more than the margin of 3 %" in slow.stderr
    if "nothing can be compared yet" not in slow.stderr:
        assert (tmp_path / "p.svg").read_text().startswith("<?xml")
    twin = compare(lutfarm, "--b", "device=twin", "--margin", "60%", "--json")
    assert twin.returncode in (0, UNDECIDED), twin.stderr
    if "nothing can be compared yet" in twin.stderr:
        assert twin.returncode == UNDECIDED
        return
    found = json.loads(twin.stdout)
    assert found["verdict"] == ("not slower" if twin.returncode == 0 else "undecided")
    if twin.returncode == UNDECIDED:
        return
    assert found["pairs"] <= 4
    counts = {job["name"]: job["counts"] for job in json.loads(lutfarm("job", "list", "--json").stdout)}
    again = compare(lutfarm, "--b", "device=twin", "--margin", "60%", "--json")
    assert json.loads(again.stdout) == found
    assert {job["name"]: job["counts"] for job in json.loads(lutfarm("job", "list", "--json").stdout)} == counts


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--b", "device=desk"), "the same side"),
        (("--b", "device=ghost"), "no device is registered as 'ghost'"),
        (("--b", "device=twin", "--margin", "three"), "write 3% or 0.03"),
        (("--b", "device=twin", "--out", "p.gif"), "a picture is written as"),
    ],
)
def test_what_cant_be_compared_is_bad_input(lutfarm: Callable, args: tuple[str, ...], said: str) -> None:
    result = compare(lutfarm, *args)
    assert result.returncode == 2
    assert said in result.stderr
