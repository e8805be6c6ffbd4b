"""`lutfarm compare` as it is typed, in this process, on scripted devices: what it says and with which code it ends."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lutfarm.agent_pool.local import AgentFactory, LocalPool
from lutfarm.cli import app
from lutfarm.execution import open_farm
from lutfarm.lut import fed
from lutfarm.store import open_store
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.testing import ScriptedAgents
from lutfarm_agents.testing.fakes import HELLO, FakeAgent, Script
from lutfarm_jobs.round import Round
from lutfarm_jobs.run import Failure, Run

PROFILE = f"generic-linux-{os.uname().machine}"
OPERATORS = [f"conv_H14_W14_Cin8_Cout{8 * n}_k1_s1_g1_relu" for n in range(1, 4)]
JOB = {
    "name": "c",
    "workloads": [{"operators": OPERATORS}],
    "devices": ["desk"],
    "backends": [{"runtime": "onnxruntime"}],
    "sampling": {"passes": 2, "confidence": 0.9},
}
PLACE = "onnxruntime-cpu-t1-fp32/b1-steady"
ON_NEW = [f"latency/operator:{name}/new/{PLACE}" for name in OPERATORS]
OK, SLOWER, DEVICE_TROUBLE, UNDECIDED, INTERRUPTED = 0, 1, 3, 5, 130


class Command:
    """A home with two registered interpreters, and agents in place of theirs."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.home, self._patch = folder, folder / "home", patch
        with open_store(self.home) as store:
            for name in ("desk", "new"):
                store.put_device(Device(name, PROFILE, "local", LocalAddress()))

    def agents(self, factory: AgentFactory) -> None:
        """From now on these agents measure."""
        self._patch.setattr(open_farm, "LocalPool", functools.partial(LocalPool, agent_factory=factory))

    def __call__(self, *args: str) -> tuple[int, str]:
        path = self.folder / "job.yaml"
        path.write_text(json.dumps(JOB))
        sides = ("--a", "device=desk", "--b", "device=new", "--executor", "local", "--home", str(self.home))
        result = CliRunner().invoke(app, ["compare", str(path), *sides, *args], terminal_width=200)
        return result.exit_code, result.output


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, monkeypatch)


def scripted(new: Script) -> ScriptedAgents:
    return ScriptedAgents({"desk": Script(), "new": new})


@pytest.mark.parametrize(
    ("new", "args", "code", "said"),
    [
        (Script(), (), OK, "not slower: the whole interval lies below the margin of 3 %"),
        (Script(), ("--margin", "0"), UNDECIDED, "undecided: the interval holds the margin of 0 %"),
        (Script(latency_ns=110_000), (), SLOWER, "slower: overall, B is slower than A by more than the margin of 3 %"),
        (Script(latency_ns=90_000, latencies_ns={ON_NEW[1]: 120_000}), (), SLOWER, "are 1 of 3 workloads"),
        (
            Script(failures=dict.fromkeys(ON_NEW[:2], Failure("OutOfMemory", "40 GB"))),
            (),
            UNDECIDED,
            "2 of 3 workloads are left out, and nothing is known of them",
        ),
        (Script(errors={"measure": ("NotReady", "its fan is off")}), (), DEVICE_TROUBLE, "the comparison is broken off"),
    ],
    ids=["equal", "no margin", "slower", "one slower", "failed", "broken"],
)
def test_the_exit_code_says_the_verdict(command: Command, new: Script, args: tuple[str, ...], code: int, said: str) -> None:
    command.agents(scripted(new))
    ended, output = command("--rounds", "4", *args)
    assert (ended, said in output) == (code, True), output


def test_it_prints_the_confidence_that_the_job_asks_for_and_names_what_failed(command: Command) -> None:
    command.agents(scripted(Script(failures={ON_NEW[0]: Failure("OutOfMemory", "40 GB")})))
    _, output = command("--rounds", "2")
    assert output.count("90 % interval") == 2  # over the column, and of the overall ratio
    assert "95 %" not in output
    assert f"left out: operator:{OPERATORS[0]}: failed on B: OutOfMemory: 40 GB" in output


def test_what_is_to_be_said_of_inputs_is_said_as_json_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fed, "warnings_before", lambda plan: ["m.onnx: nobody gave input n"])
    command.agents(scripted(Script()))
    _, output = command("--rounds", "2", "--json")
    assert json.loads(output[output.index("{") :])["warnings"] == ["m.onnx: nobody gave input n"]
    _, output = command("--rounds", "2")
    assert "m.onnx: nobody gave input n" in output


def test_what_devices_said_before_they_started_anew_refuses_nothing(command: Command) -> None:
    with open_store(command.home) as store:
        store.put_hello("desk", replace(HELLO, machine_id="1" * 32), 0.0)
        store.put_hello("new", replace(HELLO, machine_id="2" * 32), 0.0)
    command.agents(scripted(Script()))
    assert command("--rounds", "2")[0] == OK


class Interrupting(FakeAgent):
    """Ctrl-C comes while its second process runs."""

    def measure(self, round: Round, *, models: Mapping[str, Path]) -> Iterator[Run]:
        if round.index == 1:
            os.kill(os.getpid(), signal.SIGINT)
        yield from super().measure(round, models=models)  # type: ignore[misc]


def test_interrupted_it_stops_where_nothing_is_half_done_and_the_same_command_goes_on(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    command.agents(lambda device, folder, cpus: Interrupting(device, Script()))
    code, output = command("--rounds", "4")
    assert code == INTERRUPTED
    assert "interrupted; what arrived is stored, the same command goes on from there" in output
    assert "stopping at the next safe place" in capfd.readouterr().err
    command.agents(scripted(Script()))
    code, output = command("--rounds", "4")
    assert code == OK
    assert "going on; " in output
    assert "over 4 pairs" in output
