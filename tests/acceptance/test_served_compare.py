"""`lutfarm compare` against a real served farm: interrupted, its dispatcher killed, typed again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.conftest import Lutfarm
from tests.acceptance.test_serve import home, job, runs_of, serving  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SIDES = ("--a", "runtime=onnxruntime", "--b", "runtime=tflite", "--rounds", "4")
BOTH = "backends: [{runtime: onnxruntime}, {runtime: tflite}]"


def test_a_comparison_outlives_its_command_and_its_dispatcher(
    lutfarm: Lutfarm,
    home: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "job.yaml").write_text(job("both", 8, 16).replace("backends: [{runtime: onnxruntime}]", BOTH))
    with serving(tmp_path, "--executor", "local") as farm:

        def listed() -> list[str]:
            return [each["id"] for each in farm.api.get("/jobs").json()["items"]]

        command = [Path(sys.executable).with_name("lutfarm"), "--server", farm.address, "compare", "job.yaml", *SIDES]
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "400"}
        ) as typed:
            farm.until(listed, "it is submitted")
            (job_id,) = listed()
            farm.until(lambda: farm.job(job_id)["counts"]["runs"], "a first run")
            typed.send_signal(signal.SIGINT)
            _, said = typed.communicate(timeout=120)
        assert typed.returncode == 130, said
        assert f"the farm goes on with {job_id}" in said
        victim = farm.dispatcher()
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        before = {run.id for run in runs_of(home, job_id)}
        results = [lutfarm("--server", farm.address, "compare", "job.yaml", *SIDES, "--json") for _ in range(2)]
        ended = farm.job(job_id)
        assert farm.api.get(f"/jobs/{job_id}/comparison", params={"margin": 2}).status_code == 422
    assert ended["state"] == "complete", ended
    first, again = results
    assert first.returncode in (0, 1, 5), first.stderr
    assert again.returncode == first.returncode, "a busy machine may leave it undecided, in the same way"
    after = runs_of(home, job_id)
    assert before < {run.id for run in after}
    complete = [run for run in after if run.status == "complete"]
    assert len(complete) >= 2 * 2 * 4, "four pairs of two workloads"
    if first.stdout:
        found = json.loads(first.stdout)
        assert found == json.loads(again.stdout), "nothing was measured between the two"
        assert found["job_id"] == job_id
        assert found["pairs"] <= 4
        assert found["a"] == "desk with onnxruntime-cpu-t1-fp32"
