"""A transport of each kind, and its device as it looks from here."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.rig.machine import Machine

from lutfarm_agents.address import SshAddress
from lutfarm_agents.transports.adb.transport import AdbTransport
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.local import LocalTransport
from lutfarm_agents.transports.ssh.transport import SshTransport

WAIT_S = 20.0
folders = itertools.count()
SHELL_CHARACTERS = "a b'c\"d$(touch pwned)`id`;&|<>*?#~!\\e"


@dataclass(frozen=True, slots=True)
class Place:
    """A transport, and its device's files as they look from here."""

    transport: Transport
    root: str  # on the device
    seen: Path  # the same folder, seen from this machine
    machine: Machine | None

    def at(self, name: str) -> str:
        """A path on the device."""
        return f"{self.root}/{name}"

    def processes(self, marker: str) -> list[psutil.Process]:
        """Processes on the device whose command line holds `marker`."""
        pool = psutil.process_iter() if self.machine is None else self.machine.processes()
        return [p for p in pool if _holds(p, marker)]


def _holds(process: psutil.Process, marker: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and any(marker in word for word in process.cmdline())
    except psutil.Error:
        return False


KINDS = ("local", "adb", "ssh")


def make_place(kind: str, machine: Machine | None, key: str, folder: Path) -> Place:
    if machine is None:
        root = folder / "device"
        return Place(LocalTransport(root), str(root), root, None)
    if kind == "adb":
        remote = f"/data/local/tmp/lutfarm {next(folders)}"
        return Place(AdbTransport(machine.address, root=remote, keys=folder / "keys"), remote, machine.path(remote), machine)
    remote = f"/home/board/lutfarm {next(folders)}"
    address = SshAddress(machine.link.address, "root", machine.port, key)
    return Place(SshTransport(address, root=remote), remote, machine.path(remote), machine)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    key = str(request.getfixturevalue("ssh_key")[0]) if request.param == "ssh" else ""
    machine = {"adb": "phone", "ssh": "board"}.get(request.param)
    place = make_place(request.param, request.getfixturevalue(machine) if machine else None, key, tmp_path)
    yield place
    place.transport.close()


@pytest.fixture
def transport(place: Place) -> Transport:
    return place.transport


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]
