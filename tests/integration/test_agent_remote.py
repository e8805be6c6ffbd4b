"""DeviceAgent with the real runner on a phone and on a board: links that break in mid-round, two who want one device."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests import pool_kit as kit
from tests.rig.fixtures import board, phone, ssh_key
from tests.rig.machine import Machine, until

from lutfarm_agents.device import Claim, Device
from lutfarm_agents.interface import Advance
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.transports.registry import read_address, write_address
from lutfarm_jobs.errors import LinkError, ReplyTimeout
from lutfarm_jobs.round import Artifact, Limits, Slicing, Task
from lutfarm_jobs.run import Run

__all__ = ["board", "phone", "ssh_key"]
LIMITS = Limits(memory_bytes=1 << 29, load_s=30, iteration_s=60)
NOTICED_S = 10.0
ANNA = Claim("device", "anna's run", "anna", "a" * 32, 1)


@dataclass(frozen=True, slots=True)
class Place:
    machine: Machine
    device: Device
    state: Path

    def agent(self) -> DeviceAgent:
        return DeviceAgent(self.device, state_dir=self.state)


@pytest.fixture(params=["adb", "ssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    python = kit.device("device").address.python or __import__("sys").executable
    if request.param == "adb":
        machine: Machine = request.getfixturevalue("phone")
        folder = "/data/local/tmp"
        address = {"serial": machine.address, "root": f"{folder}/lutfarm", "python": python}
    else:
        machine = request.getfixturevalue("board")
        folder = "/home/board"
        key, _ = request.getfixturevalue("ssh_key")
        address = {
            "ssh": f"root@{machine.address}",
            "key": str(key),
            "root": f"{folder}/.lutfarm",
            "python": python,
            "host_key": machine.host_key.rsplit(" ", 1)[0],
        }
    kit.write_profile(tmp_path / "config", Path(f"{folder}/device.lock"))
    yield Place(
        machine,
        replace(kit.device("device"), transport=request.param, address=read_address(request.param, address)),
        tmp_path / "state",
    )
    assert not machine.processes(), "something was left on the device"


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return {}


def task(folder: Path, models: dict[str, Path], name: str, **fields: object) -> Task:
    artifact, path = kit.model(folder, name=name, **fields)
    models[artifact.sha256] = path
    return kit.task("device", name, artifact)


def canary(folder: Path, models: dict[str, Path]) -> Artifact:
    artifact, path = kit.model(folder, name="canary", iteration_ns=20_000)
    models[artifact.sha256] = path
    return artifact


GREETS = """
import json, sys
from pathlib import Path
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.device import Device
from lutfarm_agents.transports.registry import read_address
transport, address, state = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
DeviceAgent(Device("device", "test-machine", transport, read_address(transport, address)), state_dir=state).hello()
"""


def test_an_interpreter_that_says_nothing_is_named_and_not_left_running(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = silent_program(place)
    monkeypatch.setattr("lutfarm_agents.wire.session.HELLO_S", 1.0)
    with closing(silent.agent()) as agent, pytest.raises(ReplyTimeout, match=r"device: .*/silent said nothing for 1 s; see what"):
        agent.hello()
    assert not place.machine.processes()


def test_the_next_greeting_ends_what_a_greeting_left_whose_host_was_ended(place: Place) -> None:
    silent = silent_program(place)
    words = [silent.device.transport, json.dumps(write_address(silent.device)), str(silent.state)]
    host = subprocess.Popen([sys.executable, "-c", GREETS, *words])
    until(lambda: place.machine.path(f"{silent.device.address.python}.began").exists(), "the greeting began")
    host.terminate()
    host.wait()
    until(lambda: bool(place.machine.processes()), "it is left there")
    with closing(place.agent()) as agent:
        assert agent.hello().python
    assert not place.machine.processes()


def silent_program(place: Place) -> Place:
    """The same device, registered with a program that is no Python, and never says anything."""
    remote = f"{place.device.address.root}/silent"
    path = place.machine.path(remote)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\n: >"$0.began"\ncat >/dev/null\nsleep 600\n')
    path.chmod(0o755)
    place.machine.path(f"{remote}.began").unlink(missing_ok=True)
    return replace(place, device=replace(place.device, address=replace(place.device.address, python=remote)))


def test_probes_and_rounds_go_over_the_link(place: Place, models: dict[str, Path], tmp_path: Path) -> None:
    tasks = [task(tmp_path, models, "good"), task(tmp_path, models, "crash", fault="segv", after=1)]
    with closing(place.agent()) as agent:
        assert list(agent.prepare(ANNA)) == []
        codes = [probe.failure.code if probe.failure else "" for probe in agent.probe(tasks, limits=LIMITS, models=models)]
        assert codes == ["", "WorkloadFailed"]
        order = kit.measuring("device", tasks[0], canary=canary(tmp_path, models)).round
        (run,) = [item for item in agent.measure(order, models=models) if isinstance(item, Run)]
        assert run.status == "complete"
        assert len(run.slices) == order.slicing.passes
    with closing(place.agent()) as agent:  # another session: nothing is copied again
        assert list(agent.prepare(ANNA)) == []
        list(agent.probe(tasks, limits=LIMITS, models=models))
        assert agent.pushed == 0


@pytest.mark.parametrize("fault", ["kill", "cut", "stop"])
def test_a_link_that_breaks_in_mid_round_loses_nothing_that_had_arrived(
    place: Place, models: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    """Two inferences a second, so that the device is in the middle of one when it happens."""
    slow = task(tmp_path, models, "slow", iteration_ns=500_000_000)
    slow = replace(slow, iteration_ns=500_000_000)
    order = kit.measuring("device", slow, canary=canary(tmp_path, models)).round
    order = replace(order, limits=LIMITS, slicing=Slicing(passes=200, warmup_first=0, warmup_again=0))
    agent = place.agent()
    assert list(agent.prepare(ANNA)) == []
    arrived, runs = 0, []
    struck_s = 0.0
    try:
        with pytest.raises(LinkError):
            for item in agent.measure(order, models=models):
                if isinstance(item, Advance):
                    arrived = item.done
                    if arrived == 3 and not struck_s:
                        getattr(place.machine, fault)()
                        struck_s = time.monotonic()
                elif isinstance(item, Run):
                    runs.append(item)
        noticed_s = time.monotonic() - struck_s
    finally:
        place.machine.mend()
        place.machine.go_on()
    (run,) = runs
    assert run.status == "truncated"
    # On a busy machine a visit may take several tries.
    assert len({piece.pass_index for piece in run.slices}) == arrived >= 3
    assert noticed_s < NOTICED_S
    assert not agent.ready
    until(place.machine.answers, "the device is back")
    assert list(agent.prepare(ANNA)) == []  # ends what was left, and its lock is free
    assert agent.ready
    agent.close()


def test_a_second_controller_waits_and_is_told_for_whom(place: Place) -> None:
    bert = replace(ANNA, owner="bert's run", holder="bert", farm_id="b" * 32)
    told: list[str] = []
    with closing(place.agent()) as first, closing(place.agent()) as second:
        assert list(first.prepare(ANNA)) == []

        def wait() -> None:
            for holder in second.prepare(bert):
                told.append(holder)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: bool(told), "the second is told")
        assert told[0] == "anna"
        assert not second.ready
        first.close()
        waiting.join(timeout=30.0)
        assert second.ready


def test_a_newer_token_of_the_same_farm_ends_the_older_session(place: Place, models: dict[str, Path], tmp_path: Path) -> None:
    good = task(tmp_path, models, "good")
    newer = replace(ANNA, owner="anna's second run", token=2)
    with closing(place.agent()) as old, closing(place.agent()) as new:
        assert list(old.prepare(ANNA)) == []
        list(new.prepare(newer))
        assert new.ready
        with pytest.raises(LinkError):
            list(old.probe([good], limits=LIMITS, models=models))
        assert len(list(new.probe([good], limits=LIMITS, models=models))) == 1
