"""A board with a kernel, a busybox and a disk of its own: files, processes, and what a power cut leaves."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests import pool_kit as kit
from tests.bundle_kit import built
from tests.rig.fixtures import needs_emulator, ssh_key
from tests.rig.machine import until
from tests.rig.virtual_board import VirtualBoard

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.device import Claim, Device
from lutfarm_agents.interface import Advance
from lutfarm_agents.provisioning.bundle_layout import Bundle
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_agents.transports.registry import read_address
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_agents.wire.session import SILENCE_S
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, ReplyTimeout
from lutfarm_jobs.round import Limits, Slicing
from lutfarm_jobs.run import Run

__all__ = ["ssh_key"]
pytestmark = pytest.mark.emulated
WAIT_S = 60.0
HOME = "/home/board"
ROOT = f"{HOME}/lut farm"
SHELL_CHARACTERS = "-a b'c\"d$(touch pwned)`id`;&|<>*?#~!\\e"
ANNA = Claim("device", "anna's run", "anna", "a" * 32, 1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return built(tmp_path_factory.getbasetemp() / "bundles", "arm64", "onnxruntime")


@pytest.fixture(scope="module")
def vm(ssh_key: tuple[Path, str], bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    """The bundle is on its disk: that it arrives over the link is shown in tests/acceptance."""
    needs_emulator()
    home = tmp_path_factory.mktemp("home")
    with tarfile.open(bundle.path) as archive:
        archive.extractall(home / ".lutfarm" / "bundles" / bundle.sha256, filter="data")
    with VirtualBoard("vm", keys=[ssh_key[1]], files=home) as found:
        yield found


def address_of(vm: VirtualBoard, key: Path) -> SshAddress:
    return SshAddress("127.0.0.1", "root", vm.port, str(key), HostKey.parse(vm.host_key.rsplit(" ", 1)[0]))


@pytest.fixture
def transport(vm: VirtualBoard, ssh_key: tuple[Path, str]) -> Iterator[SshTransport]:
    with closing(SshTransport(address_of(vm, ssh_key[0]), root=ROOT)) as found:
        yield found


@pytest.fixture
def device(
    vm: VirtualBoard, ssh_key: tuple[Path, str], bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Device:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    kit.write_profile(tmp_path / "config", Path("/tmp/device.lock"))
    address = {
        "ssh": f"root@{vm.address}",
        "key": str(ssh_key[0]),
        "root": f"{HOME}/.lutfarm",
        "bundle": str(bundle.path),
        "host_key": vm.host_key.rsplit(" ", 1)[0],
    }
    return replace(kit.device("device"), transport="ssh", address=read_address("ssh", address))


def said(transport: SshTransport, script: str, *words: str) -> str:
    done = transport.run(["sh", "-c", script, "sh", *words])
    assert done.code == 0, done.stderr
    return done.stdout.decode()


def test_it_is_another_machine(transport: SshTransport) -> None:
    assert said(transport, "uname -m") == "aarch64\n"
    assert said(transport, "uname -r") != f"{os.uname().release}\n"
    assert "busybox" in said(transport, "readlink -f /bin/sh")


def test_files_arrive_whole_whatever_their_names(transport: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(1_000_003))
    for name in (SHELL_CHARACTERS, f"{SHELL_CHARACTERS}/{SHELL_CHARACTERS}2", "zwölf ", "..."):
        remote = f"{ROOT}/models {name}/{name}"
        assert not transport.exists(remote)
        transport.put(tmp_path / "model", remote)
        assert transport.exists(remote)
        transport.get(remote, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "model").read_bytes()
    assert said(transport, 'find "$1" -name "*pwned" -o -name ".incoming-*"', ROOT).splitlines() == []
    assert said(transport, "find / -xdev -name pwned") == ""


def test_words_and_environment_are_never_read_by_its_shell(transport: SshTransport) -> None:
    with transport.spawn(
        ["sh", "-c", 'printf "%s|%s|%s\n" "$X" "$1" "$2"', "sh", SHELL_CHARACTERS, ""], env={"X": SHELL_CHARACTERS}
    ) as channel:
        assert channel.receive(WAIT_S) == f"{SHELL_CHARACTERS}|{SHELL_CHARACTERS}|"


FAMILY = "sleep 6543 & setsid sleep 6543 & echo born; sleep 6543; echo never"


def asleep(transport: SshTransport) -> int:
    return int(said(transport, "grep -lx sleep /proc/[0-9]*/comm 2>/dev/null | wc -l"))


def test_a_family_ends_with_its_block_and_a_lost_one_is_reaped(
    vm: VirtualBoard, transport: SshTransport, ssh_key: tuple[Path, str]
) -> None:
    with transport.spawn(["sh", "-c", FAMILY], env={}) as channel:
        assert channel.receive(WAIT_S) == "born"
        until(lambda: asleep(transport) == 3, "the whole family sleeps")
    until(lambda: asleep(transport) == 0, "the family has ended")
    with closing(SshTransport(address_of(vm, ssh_key[0]), root=ROOT)) as other:
        with pytest.raises(LinkError), other.spawn(["sh", "-c", FAMILY], env={}) as channel:
            assert channel.receive(WAIT_S) == "born"
            other.close()
            channel.receive(WAIT_S)
    assert asleep(transport) > 0
    assert transport.reap() == 1
    until(lambda: asleep(transport) == 0, "what was left has ended")
    assert said(transport, 'ls "$1/running"', ROOT) == ""


def test_endings_are_told_apart(transport: SshTransport) -> None:
    with transport.spawn(["sh", "-c", "echo bye >&2; exit 3"], env={}) as channel:
        ending = channel.wait(WAIT_S)
        assert (ending.code, ending.signal, ending.stderr_tail) == (3, None, "bye\n")
    with transport.spawn(["sh", "-c", "kill -SEGV $$"], env={}) as channel:
        assert (channel.wait(WAIT_S).code, channel.wait(WAIT_S).signal) == (None, 11)
    with pytest.raises(ConnectFailed, match="no-such is not a program there"), transport.spawn(["no-such"], env={}):
        pass


# Brings what was done to the disk's folders so far onto the disk, and no file but this one.
SETTLE = 'echo now | dd of="$1/settled" conv=fsync'


def test_what_was_put_is_whole_after_a_power_cut(vm: VirtualBoard, ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(3_000_000))
    with closing(SshTransport(address_of(vm, ssh_key[0]), root=ROOT)) as transport:
        transport.put(tmp_path / "model", f"{ROOT}/kept")
        said(transport, SETTLE, HOME)
        vm.kill()
        with pytest.raises(LinkError):
            transport.run(["true"])
        vm.start()
        transport.get(f"{ROOT}/kept", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model").read_bytes()


def opened(agent: DeviceAgent) -> bool:
    """As a job does: a link that is not there yet is tried again."""
    try:
        assert list(agent.prepare(ANNA)) == []
    except LinkError:
        return False
    return agent.ready


@pytest.mark.parametrize("fault", ["cut", "kill"])
def test_a_fault_in_mid_round_is_noticed_and_loses_nothing_that_had_arrived(
    vm: VirtualBoard, device: Device, tmp_path: Path, fault: str
) -> None:
    """Two inferences a second, so that the board is in the middle of one when it happens.  A hanging one: tests/acceptance."""
    canary, canary_path = kit.model(tmp_path, name="canary", iteration_ns=20_000)
    artifact, path = kit.model(tmp_path, name="slow", iteration_ns=500_000_000)
    models = {canary.sha256: canary_path, artifact.sha256: path}
    slow = replace(kit.task("device", "slow", artifact), iteration_ns=500_000_000)
    order = replace(
        kit.measuring("device", slow, canary=canary).round,
        limits=Limits(memory_bytes=1 << 29, load_s=30, iteration_s=60),
        slicing=Slicing(passes=200, warmup_first=0, warmup_again=0),
    )
    with closing(DeviceAgent(device, state_dir=tmp_path / "state")) as agent:
        assert list(agent.prepare(ANNA)) == []
        arrived, runs = 0, []
        try:
            # A killed emulator's end of the connection closes; otherwise only its silence tells.
            with pytest.raises(LinkLost if fault == "kill" else ReplyTimeout) as noticed:
                for item in agent.measure(order, models=models):
                    if isinstance(item, Advance):
                        arrived = item.done
                        if arrived == 3:
                            getattr(vm, fault)()
                    elif isinstance(item, Run):
                        runs.append(item)
        finally:
            vm.start() if fault == "kill" else vm.mend()
        (run,) = runs
        assert run.status == "truncated"
        # On a busy machine a visit may take several tries.
        assert len({piece.pass_index for piece in run.slices}) == arrived >= 3
        assert not agent.ready
        assert fault == "kill" or f"nothing for {SILENCE_S:g} s" in noticed.value.detail
        # What was there before is there again: the runner, its Python, the models; and the lock is free.
        until(lambda: opened(agent), "the board is back", timeout_s=2 * WAIT_S)
        pushed = agent.pushed
        again = replace(order, slicing=replace(order.slicing, passes=2))
        (whole,) = [item for item in agent.measure(again, models=models) if isinstance(item, Run)]
        assert (whole.status, {piece.pass_index for piece in whole.slices}) == ("complete", {0, 1})
        assert agent.pushed == pushed
