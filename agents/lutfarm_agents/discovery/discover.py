"""Finds devices that could be registered: phones that this host sees, and the hosts of a list."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm_agents.discovery.shell_facts import gather
from lutfarm_agents.transports.adb.kind import PHONE_ROOT, checked_serial
from lutfarm_agents.transports.adb.transport import AdbTransport, usb_serials
from lutfarm_agents.transports.ssh.kind import parse_ssh
from lutfarm_agents.transports.ssh.login import host_keys
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_jobs.errors import ConnectFailed, FarmError, SpecError, Unauthorized

SERVER = ("127.0.0.1", 5037)
SERVER_S = 2.0
LIST_LIMIT_BYTES = 1 << 20
MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be a device: how it would be registered, and whether it answers."""

    transport: str  # adb, ssh
    address: str  # what --adb or --ssh takes
    state: str  # ready, unauthorized, offline, no_entry, unknown
    detail: str  # what was seen and what to do next
    model: str = ""


def discover(hosts: Iterable[str], *, keys: Path, key_file: str = "") -> list[Candidate]:
    """Phones of this host's adb server and USB, and the hosts of a list, asked side by side.

    `hosts`: lines as read_hosts gives them.  `keys`: the folder of the farm's ADB keys.  `key_file`: for SSH.
    """
    phones = {**dict.fromkeys(usb_serials(), "device"), **dict(_server_phones())}
    asked: list[Callable[[], Candidate]] = []
    for serial, state in phones.items():
        asked.append(_phone(serial, state, keys))
    for host in hosts:
        kind, _, address = host.partition(":")
        asked.append(_phone(address, "device", keys) if kind == "adb" else _board(host, key_file))
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        return [future.result() for future in [pool.submit(ask) for ask in asked]]


def read_hosts(path: Path) -> Sequence[str]:
    """A list of hosts: a line each, USER@HOST[:PORT] or adb:HOST:PORT; # begins a comment.  Raises SpecError."""
    try:
        if path.stat().st_size > LIST_LIMIT_BYTES:
            raise SpecError(f"{path} is larger than {LIST_LIMIT_BYTES} bytes: a list has one host a line")
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line:
            try:
                checked_serial(line[4:]) if line.startswith("adb:") else parse_ssh(line)
            except SpecError as error:
                raise SpecError(f"{path}, line {number}: {error}") from error
    return list(dict.fromkeys(line for line in lines if line))


def _phone(serial: str, state: str, keys: Path) -> Callable[[], Candidate]:
    def ask() -> Candidate:
        if state != "device":
            return Candidate("adb", serial, state, _ADVICE.get(state, f"the adb server says {state}"))
        try:
            with closing(AdbTransport(checked_serial(serial), root=PHONE_ROOT, keys=keys)) as transport:
                facts = gather(transport, serial)
        except ConnectFailed as error:
            return Candidate("adb", serial, "offline", f"{error.detail}; see that it is on, connected, and debugging is on")
        except Unauthorized as error:
            return Candidate("adb", serial, "unauthorized", error.detail)
        except FarmError as error:
            return Candidate("adb", serial, "unknown", f"{error.detail}; see docs/phones.md, then discover again")
        return Candidate(
            "adb",
            serial,
            "ready",
            f"lutfarm device register NAME --adb {serial}",
            facts.properties.get("ro.product.model", "") or facts.machine,
        )

    return ask


def _board(text: str, key_file: str) -> Callable[[], Candidate]:
    def ask() -> Candidate:
        try:
            address = replace(parse_ssh(text), key_file=key_file)
            (host_key,) = host_keys(address)
            fingerprint, address = host_key.fingerprint, replace(address, host_key=host_key)
        except FarmError as error:
            step = "see that it is on, that sshd runs there, and that the address is right"
            return Candidate("ssh", text, "offline", f"{error.detail}; {step}")
        try:
            with closing(SshTransport(address, root="/tmp")) as transport:  # noqa: S108  nothing is written
                facts = gather(transport, text)
        except FarmError as error:
            return Candidate("ssh", text, "no_entry", f"host key {fingerprint}; {error.detail}; then discover again")
        model = facts.device_tree[0] if facts.device_tree else facts.machine
        key = f" --key {shlex.quote(key_file)}" if key_file else ""
        return Candidate("ssh", text, "ready", f"host key {fingerprint}; lutfarm device register NAME --ssh {text}{key}", model)

    return ask


_ADVICE = {
    "unauthorized": "unlock the phone, tick `Always allow from this computer` and press Allow",
    "offline": "the phone does not answer: switch USB debugging off and on again",
    "no permissions": "this user may not open the USB device: add a udev rule, see deploy/README.md",
}


def _server_phones() -> list[tuple[str, str]]:
    """Serial numbers and states that an adb server on this host knows; none where no server runs.

    None is started.  A phone on USB that a server holds can't be opened beside it: adb kill-server first.
    """
    with contextlib.suppress(OSError, ValueError):
        port = int(os.environ.get("ANDROID_ADB_SERVER_PORT", SERVER[1]))
        with socket.create_connection((SERVER[0], port), SERVER_S) as server:
            server.settimeout(SERVER_S)
            server.sendall(b"000chost:devices")
            with server.makefile("rb") as answer:
                if answer.read(4) != b"OKAY":
                    return []
                text = answer.read(min(int(answer.read(4), 16), 65_535)).decode("utf-8", "replace")
        return re.findall(r"^([A-Za-z0-9][A-Za-z0-9._:-]{0,99})\t([a-z ]{1,40})$", text, re.MULTILINE)
    return []
