"""The main job as a user runs it: from a job file to a table, interrupted, repeated, two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

KEYS = (
    "conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu",
    "conv_H14_W14_Cin8_Cout16_k1_s1_g1_relu",
    "conv_H14_W14_Cin16_Cout16_k3_s1_g16_relu",
)


def job(name: str = "small", rounds: int = 3, extra: str = "", runtimes: tuple[str, ...] = ("onnxruntime", "tflite")) -> str:
    return (
        f"name: {name}\nworkloads:\n  - operators: [{', '.join(KEYS)}]\ndevices: [desk]\nbackends:\n"
        + "".join(f"  - runtime: {runtime}\n" for runtime in runtimes)
        + f"sampling: {{rounds: {rounds}, passes: 4, stop: rounds}}\n{extra}"
    )


@pytest.fixture(autouse=True)
def desk(lutfarm: Callable) -> None:
    result = lutfarm("device", "register", "desk", "--local")
    assert result.returncode == 0, result.stderr


def counts(lutfarm: Callable, name: str = "small") -> dict[str, dict[str, int]]:
    result = lutfarm("job", "show", name, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["runs"]


def test_from_a_job_file_to_a_table_through_ray(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    path = job_file(job())
    planned = json.loads(lutfarm("plan", path, "--json").stdout)
    assert len(planned["keys"]) == 6
    assert planned["devices"][0]["to measure"] == 6
    ran = lutfarm("run", path, "--json")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["complete"] == 6
    assert summary["failed"] == summary["missing"] == []
    assert {key: by["complete"] for key, by in counts(lutfarm).items()} == dict.fromkeys(planned["keys"], 3)
    files = [tmp_path / f"table.{suffix}" for suffix in ("json", "csv", "parquet")]
    exported = lutfarm("lut", "export", "small", *(x for file in files for x in ("--out", file)))
    assert exported.returncode == 0, exported.stderr
    shown = [json.loads(lutfarm("lut", "show", file, "--json").stdout)["entries"] for file in files]
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == 6
    for entry in shown[0]:
        assert entry["low"] <= entry["estimate"] <= entry["high"]
        # On a busy machine one may have been held up.
        assert entry["rounds"] >= 1
        assert entry["rounds"] + entry["runs_left_out"] == 3


def test_the_same_command_again_measures_nothing_twice(lutfarm: Callable, job_file: Callable) -> None:
    path = job_file(job(runtimes=("onnxruntime",)))
    assert lutfarm("run", path, "--executor", "local").returncode == 0
    before = counts(lutfarm)
    again = lutfarm("run", path, "--executor", "local")
    assert again.returncode == 0
    assert "9 runs of this job are stored" in again.stderr
    assert "once you put `fresh: true` into it" in again.stderr.replace("\n", " ")
    assert counts(lutfarm) == before


# What a table, a plot, a model or Ray needs: a job that is done says so without any of it.
NOT_IMPORTED = ("ray", "scipy", "pandas", "polars", "pyarrow", "matplotlib", "jinja2", "onnx", "alembic", "paramiko", "adb_shell")


# What builds and reads model files, draws a bar, or comes along with a call of NumPy that is not needed.
NOT_NEEDED = frozenset({"lutfarm_jobs.models", "lutfarm_jobs.feeds.resolve", "rich.progress", "numpy.ma"})


def test_a_job_that_is_done_imports_neither_ray_nor_what_its_table_needs(
    lutfarm: Callable, job_file: Callable, tmp_path: Path
) -> None:
    path = job_file(job(runtimes=("onnxruntime",)))
    measured = lutfarm("run", path, "--executor", "local", "--json")
    assert measured.returncode == 0
    for name in NOT_IMPORTED:
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text(f"raise RuntimeError('{name} is imported')")
    broken = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")])}
    for words in (("plan", path), ("run", path)):
        done = lutfarm(*words, **broken)
        assert done.returncode == 0, done.stderr
    assert "nothing was measured now" in done.stderr
    again = json.loads(lutfarm("run", path, "--json", **broken).stdout)
    assert again["verdict"] == json.loads(measured.stdout)["verdict"]
    told = lutfarm("run", path, PYTHONPROFILEIMPORTTIME="1").stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in told if line.startswith("import time:")}
    assert {"numpy", "lutfarm.execution.task_builder"} <= imported
    assert not NOT_NEEDED & imported
    anew = lutfarm("run", job_file(job("other", extra="fresh: true\n", runtimes=("onnxruntime",))), **broken)
    assert "ray is imported" in anew.stderr  # else the lines above could not fail


def test_the_verdict_of_a_job_is_that_of_its_table(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    done = lutfarm("run", job_file(job(runtimes=("onnxruntime",))), "--executor", "local", "--json")
    said = json.loads(done.stdout)
    assert lutfarm("lut", "export", said["job"], "--out", "table.json").returncode == 0
    shown = json.loads(lutfarm("lut", "show", "table.json", "--json").stdout)["verdict"]
    told = said["verdict"]
    assert told["entries"] == 3
    assert {name: told[name] for name in ("entries", "precise", "wide", "disturbed", "missing", "machine", "do_not")} == {
        name: shown[name] for name in ("entries", "precise", "wide", "disturbed", "missing", "machine", "do_not")
    }


def test_another_job_reuses_runs_and_says_so_and_fresh_does_not(lutfarm: Callable, job_file: Callable) -> None:
    assert lutfarm("run", job_file(job(runtimes=("onnxruntime",))), "--executor", "local").returncode == 0
    other = lutfarm("run", job_file(job("other", runtimes=("onnxruntime",))), "--executor", "local")
    assert other.returncode == 0
    assert "reusing 9 runs of other jobs" in other.stderr
    listed = {j["name"]: j["counts"] for j in json.loads(lutfarm("job", "list", "--json").stdout)}
    assert listed["other"]["runs"] == listed["other"]["reused_runs"] == 9
    fresh = lutfarm("run", job_file(job("third", extra="fresh: true\n", runtimes=("onnxruntime",))), "--executor", "local")
    assert fresh.returncode == 0
    assert "reusing" not in fresh.stderr
    listed = {j["name"]: j["counts"] for j in json.loads(lutfarm("job", "list", "--json").stdout)}
    assert listed["third"] == {"measurements": 3, "runs": 9, "reused_runs": 0, "failures": 0}
    again = lutfarm("run", job_file(job("third", extra="fresh: true\n", runtimes=("onnxruntime",))), "--executor", "local")
    assert "nothing was measured now: all of it is stored" in again.stderr.replace("\n", " ")
    assert "once you give it another `name`" in again.stderr.replace("\n", " ")
    path = job_file(job("fourth", extra="fresh: true\n", runtimes=("onnxruntime",)))
    anew = lutfarm("run", path, "--executor", "local", "--json")
    assert json.loads(anew.stdout)["runs_now"] == 9


@contextmanager
def started(home: Path, path: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """`lutfarm run` in the background; ended with the block."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name("lutfarm"), "run", path, *args],
        env=os.environ | {"LUTFARM_HOME": str(home)},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_runs(lutfarm: Callable, least: int, name: str = "small", patience_s: float = 200.0) -> int:
    """Until the job has so many runs; how many it has."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        shown = lutfarm("job", "list", "--json")
        found = [j["counts"]["runs"] for j in json.loads(shown.stdout or "[]") if j["name"] == name]
        if found and found[0] >= least:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"{name} has not reached {least} runs in {patience_s} s")


@pytest.mark.timeout(900)  # three runs beside a machine's other work take minutes
@pytest.mark.parametrize(("pool", "how"), [("local", signal.SIGKILL), ("local", signal.SIGINT), ("ray", signal.SIGKILL)])
def test_an_interrupted_job_goes_on_where_it_was(
    lutfarm: Callable, job_file: Callable, tmp_path: Path, pool: str, how: signal.Signals
) -> None:
    path = job_file(job(rounds=12))
    with started(tmp_path / "home", path, "--executor", pool) as process:
        had = wait_for_runs(lutfarm, 3)
        process.send_signal(how)
        process.wait(timeout=200)
        if how is signal.SIGINT:
            assert process.returncode == 130
    stored = sum(by.get("complete", 0) for by in counts(lutfarm).values())
    assert had <= stored < 72, "the job was over before it was interrupted"
    again = lutfarm("run", path, "--executor", pool)
    assert again.returncode == 0, again.stderr
    assert f"{stored} runs of this job are stored" in again.stderr
    assert {by["complete"] for by in counts(lutfarm).values()} == {12}


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_leaves_no_process_and_loses_nothing(
    lutfarm: Callable, job_file: Callable, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    path = job_file(job(rounds=40))
    with started(tmp_path / "home", path, "--executor", "ray") as process:
        had = wait_for_runs(lutfarm, 3)
        family = psutil.Process(process.pid).children(recursive=True)
        (raylet,) = [child for child in family if child.name() == "raylet"]
        private = Path(raylet.environ()["RAY_AUTH_TOKEN_PATH"]).parent
        process.send_signal(how)
        said = read_until(process, "once more stops at once")
        process.send_signal(how)
        _, rest = process.communicate(timeout=200)
    assert process.returncode == code, said + rest
    assert "interrupted; what arrived is stored" in rest
    assert "Traceback" not in rest
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert not private.exists(), "Ray's own end came after that of its folder, and made it anew"
    assert sum(by.get("complete", 0) for by in counts(lutfarm).values()) >= had
    assert next(one for one in json.loads(lutfarm("status", "--json").stdout))["state"] == "ready"


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process says on standard error, up to the line with these words."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_ray_starts_ends_the_run_without_a_dump(
    lutfarm: Callable, job_file: Callable, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    path = job_file(job(rounds=12))
    with started(tmp_path / "home", path) as process:
        wait_for_children(process.pid)
        process.send_signal(how)
        _, said = process.communicate(timeout=200)
    assert process.returncode == code, said
    assert "once more stops at once" in said
    assert "interrupted; what arrived is stored" in said
    assert "Traceback" not in said
    assert "***" not in said, "the dump of Ray's own handler"


def wait_for_children(pid: int) -> None:
    """Until the process has begun to start Ray."""
    end_s = time.monotonic() + 200
    while not psutil.Process(pid).children():
        assert time.monotonic() < end_s, "Ray did not start"
        time.sleep(0.02)


def test_two_at_once_take_turns_and_the_second_says_for_whom(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    first = job_file(job(rounds=12))
    second = tmp_path / "second.yaml"
    second.write_text(job("second", rounds=1))
    with started(tmp_path / "home", first, "--executor", "local") as running:
        wait_for_runs(lutfarm, 1)
        result = lutfarm("run", second, "--executor", "local")
        assert result.returncode == 0, result.stderr
        assert "waiting, it is held by" in result.stderr
        assert str(running.pid) in result.stderr
        assert running.wait(timeout=60) == 0


def test_two_homes_on_one_machine_take_turns_too(lutfarm: Callable, job_file: Callable, tmp_path: Path) -> None:
    other_home = {"LUTFARM_HOME": str(tmp_path / "other-home")}
    assert lutfarm("device", "register", "desk", "--local", **other_home).returncode == 0
    path = job_file(job(rounds=12))
    with started(tmp_path / "home", path, "--executor", "local") as running:
        wait_for_runs(lutfarm, 1)
        result = lutfarm("run", path, "--executor", "local", **other_home)
        assert result.returncode == 0, result.stderr
        assert "waiting, it is held by" in result.stderr
        assert running.wait(timeout=60) == 0
