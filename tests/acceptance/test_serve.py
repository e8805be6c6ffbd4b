"""A served farm as its people have it: real processes, a real Ray, hosts that join, jobs over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.acceptance.conftest import Lutfarm

from lutfarm.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MOST_S = 400.0
OPERATOR = "conv_H14_W14_Cin8_Cout{width}_k1_s1_g1_relu"


def job(name: str, *widths: int, devices: str = "[desk]", rounds: int = 3) -> str:
    operators = ", ".join(OPERATOR.format(width=width) for width in widths)
    return (
        f"name: {name}\nworkloads: [{{operators: [{operators}]}}]\ndevices: {devices}\nfresh: true\n"
        f"backends: [{{runtime: onnxruntime}}]\nsampling: {{rounds: {rounds}, passes: 2, stop: rounds}}\n"
    )


class Farm:
    """A server that runs, by its process and its API."""

    def __init__(self, process: subprocess.Popen[str], api: httpx.Client, address: str, log: Path) -> None:
        self.process, self.api, self.address, self.log = process, api, address, log

    def submit(self, text: str) -> str:
        answer = self.api.post("/jobs", json={"job": text})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.api.get(f"/jobs/{job_id}")
        assert answer.is_success, answer.text
        return answer.json()

    def until(self, reached: Callable[[], object], what: str) -> None:
        end_s = time.monotonic() + MOST_S
        while not reached():
            assert time.monotonic() < end_s, f"never: {what}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.2)

    def until_over(self, *jobs: str) -> None:
        self.until(lambda: all(self.job(each)["state"] not in ("queued", "open") for each in jobs), f"{jobs} over")

    def dispatcher(self) -> int | None:
        """The newest that was started and runs."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        started = [line["pid"] for line in lines if line["what"] == "dispatcher started"]
        return started[-1] if started and psutil.pid_exists(started[-1]) else None


def shown() -> dict[str, str]:
    """The token of the environment, where there is one."""
    token = os.environ.get("LUTFARM_TOKEN", "")
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextmanager
def serving(folder: Path, *args: str, killed: bool = False) -> Generator[Farm]:
    """`lutfarm serve` on the home of the `lutfarm` fixture; ended by SIGTERM, well, unless the block kills it."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("lutfarm"), "serve", "--port", "0", *args],
            env=os.environ | {"LUTFARM_HOME": str(folder / "home"), "COLUMNS": "400"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            end_s = time.monotonic() + MOST_S
            while "serving " not in (text := log.read_text()):
                assert process.poll() is None, text
                assert time.monotonic() < end_s, text
                time.sleep(0.1)
            address = text.split(" at ")[1].split(";")[0]
            with httpx.Client(base_url=f"{address}/api/v1", headers=shown(), timeout=120.0) as api:
                farm = Farm(process, api, address, log)
                farm.until(lambda: httpx.get(f"{address}/readyz", timeout=60.0).status_code == 200, "ready")
                yield farm
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == (-signal.SIGKILL if killed else 0), log.read_text()[-4000:]
        finally:
            process.kill()
            process.wait()


@contextmanager
def joined(folder: Path, farm: Farm, name: str, address: str) -> Generator[subprocess.Popen[bytes]]:
    """`lutfarm host join` with a home of its own."""
    with (folder / f"{name}.log").open("w") as said:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("lutfarm"), "host", "join", farm.address, "--name", name, "--address", address],
            env=os.environ | {"LUTFARM_HOME": str(folder / f"home-{name}")},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            farm.until(lambda: process.poll() is not None or hosts(farm).get(name) == "joined", f"{name} joined")
            yield process
        finally:
            process.terminate()
            process.wait(120)


def hosts(farm: Farm) -> dict[str, str]:
    return {host["name"]: host["state"] for host in farm.api.get("/hosts").json()["items"]}


@pytest.fixture
def home(lutfarm: Lutfarm, tmp_path: Path) -> Path:
    """Of a farm with this machine, as `desk`, and as `far` on a host that may join."""
    registered = lutfarm("device", "register", "desk", "--local")
    assert registered.returncode == 0, registered.stderr
    with open_store(tmp_path / "home") as store:
        desk = store.device("desk")
        hello = store.hello("desk")
        assert desk is not None
        assert hello is not None
        store.put_device(replace(desk, name="far", host="b"))
        store.put_hello("far", *hello)
    return tmp_path / "home"


@pytest.fixture
def token(lutfarm: Lutfarm, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An operator's, which all commands show."""
    made = lutfarm("token", "create", "ann", "--role", "operator")
    assert made.returncode == 0, made.stderr
    monkeypatch.setenv("LUTFARM_TOKEN", made.stdout.strip())
    return made.stdout.strip()


def runs_of(home: Path, job_id: str) -> list[Any]:
    with open_store(home) as store:
        return list(store.runs(job_id, samples=False))


def test_two_jobs_are_measured_whole_while_processes_die(lutfarm: Lutfarm, home: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--executor", "local", killed=True) as farm:
        again = lutfarm("serve", "--port", "0", "--executor", "local")
        assert again.returncode == 2
        assert f"is served already, by process {farm.process.pid}" in again.stderr
        one, two = farm.submit(job("one", 8, 16, rounds=8)), farm.submit(job("two", 24, rounds=8))
        twice = farm.api.post("/jobs", json={"job": job("one", 8, 16, rounds=8)})
        assert (twice.status_code, twice.json()["id"]) == (200, one)
        farm.until(lambda: farm.job(one)["counts"]["runs"], "a first run")
        victim = farm.dispatcher()
        assert victim is not None
        before = {run.id for run in runs_of(home, one)}
        os.kill(victim, signal.SIGKILL)
        farm.until(lambda: farm.dispatcher() not in (None, victim), "another dispatcher")
        farm.until(lambda: farm.job(one)["counts"]["runs"] > len(before), "it goes on")
        left = farm.dispatcher()
        assert left is not None
        farm.process.send_signal(signal.SIGKILL)  # the server itself: its dispatcher ends with it
        farm.process.wait(60)
        farm.until(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE, "no orphan")
    with serving(tmp_path, "--executor", "local") as farm:
        farm.until_over(one, two)
        assert [farm.job(each)["state"] for each in (one, two)] == ["complete", "complete"]
    assert len(runs_of(home, one)) == 2 * 8, "nothing was lost, and nothing measured twice"
    assert len(runs_of(home, two)) == 8
    assert before <= {run.id for run in runs_of(home, one)}


@pytest.mark.usefixtures("token")
def test_a_host_that_joins_measures_and_one_that_is_killed_is_waited_for(lutfarm: Lutfarm, home: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--executor", "ray") as farm:
        assert hosts(farm) == {"b": "lost"}
        listed = lutfarm("--server", farm.address, "host", "list", "--json")
        assert [(h["name"], h["state"], h["devices"]) for h in json.loads(listed.stdout)] == [("b", "lost", ["far"])]
        both = farm.submit(job("both", 8, devices="[desk, far]"))
        farm.until(lambda: "put off" in farm.log.read_text(), "far is waited for")
        why = {row["device"]: row for row in farm.api.get(f"/jobs/{both}/why").json()["devices"]}
        assert "lutfarm host join" in json.dumps(why["far"])
        with joined(tmp_path, farm, "b", "127.0.0.3") as host:
            second = subprocess.run(
                [Path(sys.executable).with_name("lutfarm"), "host", "join", farm.address, "--name", "b"],
                env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home-c")},
                capture_output=True,
                text=True,
                timeout=200,
            )
            assert second.returncode == 2
            assert "has joined already, from 127.0.0.3" in second.stderr
            farm.until_over(both)
            assert farm.job(both)["state"] == "complete"
            assert {run.device for run in runs_of(home, both)} == {"desk", "far"}
            more = farm.submit(job("more", 16, devices="[far]", rounds=200))
            farm.until(lambda: farm.job(more)["counts"]["runs"], "a run of the host")
            nodes = [p for p in psutil.process_iter() if "--node-ip-address=127.0.0.3" in " ".join(cmdline(p))]
            assert nodes, "the host's part of Ray"
            os.kill(host.pid, signal.SIGKILL)
            farm.until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in nodes), "it is gone")
            farm.until(lambda: hosts(farm)["b"] == "lost", "its death is seen")
            assert farm.api.post(f"/jobs/{more}/cancel", json={"why": "enough"}).status_code == 202
            farm.until_over(more)
        assert farm.job(more)["state"] == "cancelled"


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.usefixtures("token")
def test_the_commands_are_the_same_where_a_server_is_named(lutfarm: Lutfarm, home: Path, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(job("far-away", 8))
    with serving(tmp_path, "--executor", "local") as farm:

        def there(*args: str) -> subprocess.CompletedProcess[str]:
            return lutfarm("--server", farm.address, *args, LUTFARM_HOME=str(tmp_path / "elsewhere"))

        watched = there("submit", "job.yaml", "--watch", "--json")
        assert watched.returncode == 0, watched.stderr
        ended = json.loads(watched.stdout)
        assert (ended["state"], ended["counts"]["runs"]) == ("complete", 3)
        for args in (
            ("job", "list", "--json"),
            ("job", "show", "far-away", "--json"),
            ("job", "why", "far-away", "--json"),
            ("device", "list", "--json"),
            ("device", "show", "desk", "--json"),
        ):
            assert json.loads(there(*args).stdout) == json.loads(lutfarm(*args).stdout), args
        names = [each["device"] for each in json.loads(there("status", "--json").stdout)]
        assert names == ["desk", "far"]
        for path in ("here.json", "there.json"):
            exported = (lutfarm if path == "here.json" else there)("lut", "export", "far-away", "--out", path)
            assert exported.returncode == 0, exported.stderr
        here, over_there = (json.loads((tmp_path / path).read_text())["entries"] for path in ("here.json", "there.json"))
        assert here == over_there
        assert there("device", "hold", "far", "--reason", "a fan").returncode == 0
        assert json.loads(lutfarm("device", "list", "--json").stdout)[1]["state"] == "maintenance"
        assert there("device", "release", "far").returncode == 0
        for args, said in (
            (("run", "job.yaml"), "lutfarm submit JOB gives it to the farm"),
            (("job", "cancel", "far-away"), "there is nothing to cancel"),
            (("job", "list", "--home", "."), "name one of the two"),
            (("job", "remove", "nothing"), "no job is called"),
        ):
            refused = there(*args)
            assert refused.returncode == 2, args
            assert said in refused.stderr
        (tmp_path / "job.yaml").write_text(job("bad", 8, devices="[nobody]"))
        refused = there("submit", "job.yaml")
        assert refused.returncode == 2
        assert "no device is registered as 'nobody'" in refused.stderr
        assert there("job", "remove", ended["id"]).returncode == 0
        assert json.loads(lutfarm("job", "list", "--json").stdout) == []
    assert not (tmp_path / "elsewhere").exists(), "nothing is kept where the commands are typed"
    gone = there("job", "list")
    assert gone.returncode == 4
    assert "is `lutfarm serve` running there?" in gone.stderr
    alone = lutfarm("submit", "job.yaml")
    assert alone.returncode == 2
    assert "no served farm is named" in alone.stderr
