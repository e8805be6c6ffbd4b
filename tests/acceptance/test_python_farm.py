"""lutfarm.Farm: the same program for a home and for a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from tests.acceptance.conftest import Lutfarm
from tests.acceptance.test_serve import home, job, serving  # noqa: F401

import lutfarm as package
from lutfarm.api.answers import JobStanding
from lutfarm_jobs.errors import NotFound, SpecError, WrongState
from lutfarm_jobs.job_file.workloads import OperatorsWorkload
from lutfarm_jobs.spec import load_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MODEL = Path(onnx.__file__).parent / "backend/test/data/pytorch-converted/test_Conv2d/model.onnx"
KEY = "operator:conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"


@contextmanager
def farm(way: str, tmp_path: Path) -> Generator[package.Farm]:
    if way == "home":
        with package.Farm(home=tmp_path / "home", executor="local") as found:
            yield found
    else:
        with serving(tmp_path, "--executor", "local") as served, package.Farm(served.address) as found:
            yield found


@pytest.mark.parametrize("way", ["home", "served"])
def test_the_same_program_measures_by_a_home_and_by_a_server(
    home: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(job("from-python", 8))
    shutil.copyfile(MODEL, tmp_path / "conv.onnx")
    with farm(way, tmp_path) as found:
        assert [device.name for device in found.devices()] == ["desk", "far"]
        told: list[JobStanding] = []
        submitted = found.submit("job.yaml", priority=-1)
        assert submitted.standing().priority == -1
        ended = submitted.wait(told.append)
        assert (ended.state, ended.counts.runs, ended.counts.measurements) == ("complete", 3, 1)
        assert told[-1].counts.runs == 3
        spec = load_job(tmp_path / "job.yaml")
        assert found.submit(spec).id == submitted.id, "the same job, as a checked one"
        assert found.job("from-python").id == submitted.id
        assert [row.left for row in submitted.why()] == [0]
        (entry,) = submitted.table().entries
        assert (entry.workload, entry.device, entry.kind) == (KEY, "desk", "measured")
        assert 1 <= entry.rounds <= 3, "one that a neighbour held up is left out"
        assert isinstance(spec.workloads[0], OperatorsWorkload)

        measured = found.measure("conv.onnx", device="desk", rounds=3)
        assert measured.kind == "measured"
        assert measured.low is not None
        assert measured.estimate is not None
        assert measured.high is not None
        assert 0 < measured.low <= measured.estimate <= measured.high
        assert found.measure("conv.onnx", device="desk", rounds=3) == measured, "nothing is measured twice"

        with pytest.raises(SpecError, match=r"nothing\.onnx"):
            found.measure("nothing.onnx", device="desk")
        with pytest.raises(SpecError, match="no device is registered as 'nobody'"):
            found.measure("conv.onnx", device="nobody")
        with pytest.raises(WrongState, match="nothing to cancel"):
            submitted.cancel()
        with pytest.raises((SpecError, NotFound), match="no-such-job"):
            found.job("no-such-job")


@pytest.mark.parametrize("way", ["home", "served"])
def test_networks_are_predicted_by_a_jobs_table(home: Path, tmp_path: Path, way: str) -> None:  # noqa: F811
    (tmp_path / "space.yaml").write_text(
        "name: two-layers\nlayers:\n"
        + "".join(
            f"  - name: l{layer}\n    choices:\n"
            + "".join(
                f"      - {{name: {name}, operator: conv_H14_W14_Cin8_Cout8_k{kernel}_s1_g1_relu}}\n"
                for name, kernel in (("a", 1), ("b", 3))
            )
            for layer in range(2)
        )
    )
    asked = {
        "name": "space",
        "workloads": [{"operators": [f"conv_H14_W14_Cin8_Cout8_k{kernel}_s1_g1_relu" for kernel in (1, 3)]}],
        "devices": ["desk"],
        "backends": [{"runtime": "onnxruntime"}],
        "sampling": {"rounds": 3, "passes": 2, "stop": "rounds"},
    }
    with farm(way, tmp_path) as found:
        submitted = found.submit(asked)
        assert submitted.wait().state == "complete"
        by_key = {entry.workload: entry.estimate for entry in submitted.table().entries}
        small, large = (by_key[f"operator:conv_H14_W14_Cin8_Cout8_k{kernel}_s1_g1_relu"] for kernel in (1, 3))
        assert small is not None
        assert large is not None
        predicted = found.predict(submitted.id, ["0,0", "0,1", "1,1"], space=str(tmp_path / "space.yaml"))
        expected = [2 * small, small + large, 2 * large]
        assert [one.estimate for one in predicted] == pytest.approx(expected)


def test_an_address_and_a_home_are_not_named_together(tmp_path: Path, lutfarm: Lutfarm) -> None:
    with pytest.raises(SpecError, match="name one of the two"):
        package.Farm("http://127.0.0.1:1", home=tmp_path)


def test_the_example_searches_with_measured_candidates(lutfarm: Lutfarm, home: Path, tmp_path: Path) -> None:  # noqa: F811
    example = Path(__file__).parents[2] / "jobs/examples/evolutionary_search.py"
    with serving(tmp_path, "--executor", "local") as served:
        ran = subprocess.run(
            [sys.executable, example, "--device", "desk", "--generations", "1"],
            env=os.environ | {"LUTFARM_SERVER": served.address},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 3
    assert all(
        re.fullmatch(r"0: [a-z]+,[a-z]+: accuracy 0\.\d{3}, predicted [\d.]+ us, measured [\d.]+ us", line) for line in lines
    ), lines
    assert "search-0" in {each["name"] for each in json.loads(lutfarm("job", "list", "--json").stdout)}
