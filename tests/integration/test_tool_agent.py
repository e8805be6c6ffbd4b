"""Native tools on a phone and on a board without Python: measured there, one user at a time, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from tests import pool_kit as kit
from tests.rig.fixtures import board, phone, ssh_key
from tests.rig.machine import Machine, until
from tests.tools_kit import RUNTIME, FakeTool

from lutfarm_agents.device import Claim, Device
from lutfarm_agents.factory import agent_of
from lutfarm_agents.interface import Agent
from lutfarm_agents.lock_by_shell import shell_lock as holding
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.tool_agent import ToolAgent
from lutfarm_agents.transports.registry import read_address, write_address
from lutfarm_jobs.errors import LinkError, NotReady
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Limits, Round, Task
from lutfarm_jobs.run import Run
from lutfarm_runner.device_lock import Content

__all__ = ["board", "phone", "ssh_key"]
LIMITS = Limits(memory_bytes=1 << 29, load_s=20, iteration_s=20)
ANNA = Claim("device", "anna's run", "anna", "a" * 32, 1)
BERT = Claim("device", "bert's run", "bert", "b" * 32, 1)
KEEPS_IT = """
import json, sys
from pathlib import Path
from lutfarm_agents.device import Device
from lutfarm_agents.transports.registry import read_address
from lutfarm_agents.wire.session import Claim
from lutfarm_agents.tool_agent import ToolAgent
from tests.integration.test_tool_agent import LIMITS, a_task
address, state, models = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
transport = "adb" if "serial" in address else "ssh"
agent = ToolAgent(Device("device", "test-machine", transport, read_address(transport, address)), state_dir=state)
list(agent.prepare(Claim("device", "a run that dies", "dora", "d" * 32, 1)))
task, paths = a_task(models)
print("held", flush=True)
list(agent.probe([task], limits=LIMITS, models=paths))
"""


def a_task(folder: Path) -> tuple[Task, dict[str, Path]]:
    artifact, path = kit.model(folder, name="model")
    backend = Backend(RUNTIME)
    return Task(Measurement(Workload("operator", "conv"), "device", backend), artifact), {artifact.sha256: path}


@dataclass(frozen=True, slots=True)
class Place:
    machine: Machine
    device: Device  # registered for tools only
    folder: str
    tool: FakeTool
    state: Path
    python: str

    @property
    def lock(self) -> str:
        return f"{self.folder}/device.lock"

    def agent(self) -> ToolAgent:
        found = agent_of(self.device, state_dir=self.state)
        assert isinstance(found, ToolAgent)
        return found

    def with_runner(self) -> DeviceAgent:
        """Somebody else's registration of the same device: with a Python."""
        address = replace(self.device.address, python=self.python, root=f"{self.folder}/other")
        found = agent_of(replace(self.device, address=address), state_dir=self.state)
        assert isinstance(found, DeviceAgent)
        return found


@pytest.fixture(params=["adb", "ssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if request.param == "adb":
        machine: Machine = request.getfixturevalue("phone")
        folder = "/data/local/tmp"
        address = {"serial": machine.address, "root": f"{folder}/lutfarm"}
    else:
        machine = request.getfixturevalue("board")
        folder = "/home/board"
        key, _ = request.getfixturevalue("ssh_key")
        address = {
            "ssh": f"root@{machine.address}",
            "key": str(key),
            "root": f"{folder}/.lutfarm",
            "host_key": machine.host_key.rsplit(" ", 1)[0],
        }
    kit.write_profile(tmp_path / "config", Path(f"{folder}/device.lock"))
    monkeypatch.setattr(holding, "WAIT_S", 0.5)
    tool = FakeTool(machine, f"{folder}/bench mark")
    tool.becomes("well")
    device = replace(
        kit.device("device"),
        transport=request.param,
        address=read_address(request.param, {**address, f"tool:{RUNTIME}": tool.remote}),
    )
    yield Place(machine, device, folder, tool, tmp_path / "state", sys.executable)
    until(lambda: not machine.processes(), "nothing is left on the device", timeout_s=20.0)
    machine.path(f"{folder}/device.lock").unlink(missing_ok=True)


def a_round(task: Task) -> Round:
    return replace(kit.measuring("device", task).round, limits=LIMITS, canary=task.artifact)


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


class Waiter:
    """Somebody who opens the device on a thread of his own, and what he is told meanwhile."""

    def __init__(self, agent: Agent, claim: Claim) -> None:
        self.agent = agent
        self.told: list[str] = []
        self.spent_ns: list[Mapping[str, int]] = []  # what is charged for, as often as he is told
        self._thread = in_background(lambda: self._wait(claim))

    def _wait(self, claim: Claim) -> None:
        for holder in self.agent.prepare(claim):
            self.told.append(holder)
            self.spent_ns.append(self.agent.spent_ns)

    def join(self) -> None:
        self._thread.join(timeout=60.0)
        assert self.agent.ready


def test_a_device_without_python_is_measured_and_says_what_it_is(place: Place, tmp_path: Path) -> None:
    task, models = a_task(tmp_path)
    place.machine.heat(41.5)
    with closing(place.agent()) as agent:
        hello = agent.hello()
        assert (hello.python, hello.runner_sha256, hello.clock_resolution_ns) == ("", "", None)
        assert hello.cpus == tuple(sorted(os.sched_getaffinity(0)))
        assert (hello.word_bits, hello.cpus_off) == (64, ())
        assert hello.runtimes[RUNTIME].startswith("sha256:")
        assert hello.environment is not None
        assert (hello.environment.temperature_c, hello.environment.governor) == (41.5, "schedutil")
        assert hello.environment.temperature_zone == "cpu-thermal"
        assert (hello.environment.memory_available_bytes or 0) > 0
        assert (hello.environment.free_bytes or 0) > 0
        assert list(agent.prepare(ANNA)) == []
        (probe,) = agent.probe([task], limits=LIMITS, models=models)
        assert (probe.failure, probe.iteration_ns) == (None, 850_000)
        runs = [item for item in agent.measure(a_round(task), models=models) if isinstance(item, Run)]
        assert [run.summary.estimate_ns for run in runs if run.summary] == [850_000]
        assert runs[0].after is not None
        assert runs[0].after.temperature_c == 41.5
        place.tool.becomes("fails")
        (failed,) = agent.probe([task], limits=LIMITS, models=models)
        assert failed.failure is not None
        assert (failed.failure.code, "no such operator" in failed.failure.detail) == ("WorkloadFailed", True)
    with closing(place.with_runner()) as other:  # the machine is the same one
        assert other.hello().machine_id == hello.machine_id
    place.machine.heat(38.0)


def test_a_tool_that_hangs_is_a_result_and_the_lock_stays(place: Place, tmp_path: Path) -> None:
    task, models = a_task(tmp_path)
    with closing(place.agent()) as agent:
        assert list(agent.prepare(ANNA)) == []
        place.tool.becomes("slow")
        hasty = Limits(load_s=-9.0, iteration_s=0.01)  # an invocation may take 10 s more than loading
        (probe,) = agent.probe([task], limits=hasty, models=models)
        assert probe.failure is not None
        assert probe.failure.code == "WorkloadTimeout"
        assert not place.tool.processes()
        place.tool.becomes("well")
        (probe,) = agent.probe([task], limits=LIMITS, models=models)
        assert probe.failure is None


def test_cancel_ends_the_tool(place: Place, tmp_path: Path) -> None:
    task, models = a_task(tmp_path)
    with closing(place.agent()) as agent:
        assert list(agent.prepare(ANNA)) == []
        place.tool.becomes("slow")
        found: list[object] = []
        thread = in_background(lambda: found.extend(agent.measure(a_round(task), models=models)))
        until(place.tool.runs, "the tool runs")
        agent.cancel()
        thread.join(timeout=30.0)
        assert found == []
        assert agent.ready
        assert not place.tool.processes()


def test_a_second_controller_waits_and_is_told_for_whom(place: Place) -> None:
    first = place.agent()
    assert list(first.prepare(ANNA)) == []
    with closing(place.agent()) as second:
        waiter = Waiter(second, BERT)
        until(lambda: bool(waiter.told), "the second is told")
        assert waiter.told[0] == "anna"
        assert not second.ready
        first.close()
        waiter.join()


@pytest.mark.parametrize("older", ["tools", "runner"])
def test_a_newer_token_ends_the_older_session_and_its_tool(place: Place, tmp_path: Path, older: str) -> None:
    task, models = a_task(tmp_path)
    with closing(place.agent() if older == "tools" else place.with_runner()) as old, closing(place.agent()) as new:
        assert list(old.prepare(ANNA)) == []
        place.tool.becomes("slow")
        failures: list[LinkError] = []

        def measure() -> None:
            try:
                list(old.measure(a_round(task), models=models))
            except LinkError as error:
                failures.append(error)

        thread = in_background(measure)
        until(place.tool.runs, "the tool runs")
        place.tool.becomes("well")
        list(new.prepare(replace(ANNA, owner="anna's second run", token=2)))
        assert new.ready
        thread.join(timeout=30.0)
        assert len(failures) == 1
        assert not place.tool.processes()
        assert len(list(new.probe([task], limits=LIMITS, models=models))) == 1


@pytest.mark.parametrize("first", ["runner", "tools"])
def test_a_runner_and_tools_wait_for_each_other(place: Place, first: str) -> None:
    with closing(place.with_runner()) as runner, closing(place.agent()) as tools:
        one, other = (runner, tools) if first == "runner" else (tools, runner)
        assert list(one.prepare(ANNA)) == []
        waiter = Waiter(other, BERT)
        until(lambda: bool(waiter.told), "the other is told")
        assert waiter.told[0] == "anna"
        one.close()
        waiter.join()
        # Waiting is not charged to the job's device time.
        assert {tuple(spent.items()) for spent in waiter.spent_ns} == {tuple(other.spent_ns.items())}
        assert set(other.spent_ns) == {"other"}


@pytest.mark.parametrize("first", ["runner", "tools"])
def test_a_newer_token_ends_a_session_of_the_other_sort(place: Place, tmp_path: Path, first: str) -> None:
    task, models = a_task(tmp_path)
    with closing(place.with_runner()) as runner, closing(place.agent()) as tools:
        old, new = (runner, tools) if first == "runner" else (tools, runner)
        assert list(old.prepare(ANNA)) == []
        list(new.prepare(replace(ANNA, owner="anna's second run", token=2)))
        assert new.ready
        with pytest.raises(LinkError):
            list(old.probe([task], limits=LIMITS, models=models))


def test_sessions_of_one_owner_share_the_device(place: Place) -> None:
    with closing(place.with_runner()) as runner, closing(place.agent()) as tools, closing(place.agent()) as more:
        assert list(tools.prepare(ANNA)) == []
        assert list(runner.prepare(replace(ANNA, device="two"))) == []
        tools.close()
        assert list(more.prepare(replace(ANNA, device="three"))) == []
        assert runner.ready
        assert more.ready


def test_a_host_that_dies_leaves_a_lock_that_the_next_one_takes(place: Place, tmp_path: Path) -> None:
    place.tool.becomes("slow")
    host = subprocess.Popen(
        [sys.executable, "-c", KEEPS_IT, json.dumps(write_address(place.device)), str(place.state), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
    )
    assert host.stdout is not None
    with host:
        assert host.stdout.readline() == "held\n"
        until(place.tool.runs, "the tool runs")
        host.send_signal(signal.SIGKILL)
    with closing(place.agent()) as next_one:
        list(next_one.prepare(BERT))
        assert next_one.ready
        assert not place.tool.processes()


def test_a_host_that_falls_silent_loses_the_lock(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "STALE_S", 2)
    monkeypatch.setattr(holding, "RENEW_S", 600.0)
    with closing(place.agent()) as silent, closing(place.agent()) as other:
        assert list(silent.prepare(ANNA)) == []
        monkeypatch.setattr(holding, "STALE_S", 60)
        list(other.prepare(BERT))  # nobody ended the first one but itself
        assert other.ready


@pytest.mark.parametrize(
    "content",
    [b"x" * 10_000, b"\n\n$(touch /tmp/pwned)`id`\n;reboot\nours\njoined\n", b'{"owner": "anna\'s run"}\xff\x00\x1b[31m'],
)
def test_whatever_the_lock_says_it_is_a_name_at_most(place: Place, content: bytes) -> None:
    with closing(place.agent()) as first, closing(place.agent()) as second:
        assert list(first.prepare(ANNA)) == []
        place.machine.path(place.lock).write_bytes(content)
        waiter = Waiter(second, replace(ANNA, token=9))
        until(lambda: bool(waiter.told), "the second is told")
        assert waiter.told[0] == "unknown holder"
        assert first.ready
        first.close()
        waiter.join()
    assert not place.machine.path("/tmp/pwned").exists()


def test_a_forged_content_ends_no_innocent_process(place: Place) -> None:
    """Its id and start time are right, and it has not got the lock open."""
    with closing(place.agent()) as first, closing(place.agent()) as second:
        assert list(first.prepare(ANNA)) == []
        said = first.access.transport.run(["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!; cat /proc/$!/stat"]).stdout.decode()
        pid, stat = said.splitlines()
        start = int(stat.rpartition(")")[2].split()[19])
        forged = Content("x", "forged", "a" * 32, 1, "", int(pid), start, 1.0)
        place.machine.path(place.lock).write_text(json.dumps(asdict(forged)))
        waiter = Waiter(second, replace(ANNA, token=2, owner="other"))
        until(lambda: len(waiter.told) >= 2, "it has looked twice")
        assert set(waiter.told) == {"forged"}
        assert first.access.transport.run(["kill", "-0", pid]).code == 0
        first.access.transport.run(["kill", "-9", pid])
        first.close()
        waiter.join()


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "hard link", "missing folder"])
def test_a_lock_that_is_no_plain_file_is_refused(place: Place, kind: str, tmp_path: Path) -> None:
    path = place.machine.path(place.lock)
    precious = place.machine.path(f"{place.folder}/precious")
    precious.write_text("precious")
    if kind == "link":
        path.symlink_to("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        os.link(precious, path)
    else:
        kit.write_profile(tmp_path / "config", Path(f"{place.folder}/no-such/device.lock"))
    with closing(place.agent()) as agent, pytest.raises(NotReady, match=r"lock .*device\.lock can't be used"):
        list(agent.prepare(ANNA))
    assert precious.read_text() == "precious"
    if kind == "folder":
        path.rmdir()
    precious.unlink()


def test_what_needs_python_is_refused(place: Place, tmp_path: Path) -> None:
    artifact, path = kit.model(tmp_path, name="model")
    with closing(place.agent()) as agent:
        assert list(agent.prepare(ANNA)) == []
        with pytest.raises(NotReady, match="native tools only"):
            list(agent.probe([kit.task("device", "x", artifact)], limits=LIMITS, models={artifact.sha256: path}))
