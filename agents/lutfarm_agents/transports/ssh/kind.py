"""Boards over SSH: their addresses.  paramiko is imported where one is opened: 0.2 s of a command that measures this machine."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lutfarm_agents.address import Address, HostKey, SshAddress
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.kind import TransportKind, only
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.extras import extras

NAME_OR_V4_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?"
V6_PATTERN = r"\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,45}"
USER_PATTERN = r"[A-Za-z_][A-Za-z0-9._-]{0,31}\$?"


def parse_ssh(text: str) -> SshAddress:
    """From USER@HOST[:PORT]; without USER@ the name of who runs lutfarm.  Raises SpecError."""
    user, at, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or (not place.startswith("[") and ":" in host) or place.endswith("]"):
        host, port = place, "22"
    user = user if at else getpass.getuser()
    names = re.fullmatch(f"{NAME_OR_V4_PATTERN}|{V6_PATTERN}", host) and re.fullmatch(USER_PATTERN, user)
    if not names or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65_536:
        raise SpecError(f"{text[:80]!r} is not USER@HOST or USER@HOST:PORT")
    return SshAddress(host.strip("[]"), user, int(port))


def read(fields: Mapping[str, str]) -> SshAddress:
    """As it was recorded at registration.  Raises SpecError, NotReady."""
    said = only(fields, "ssh", "key", "host_key", "jump", "jump_host_key")
    key = said.get("key", "")
    jump = None
    if text := said.get("jump", ""):
        jump = replace(parse_ssh(text), key_file=key, host_key=_recorded(said, "jump_host_key"))
    return replace(parse_ssh(said.get("ssh", "")), key_file=key, host_key=_recorded(said, "host_key"), jump=jump)


def write(address: Address) -> Mapping[str, str]:
    """Its inverse."""
    if not isinstance(address, SshAddress):
        raise ValueError(f"a {type(address).__name__} is no SSH address")
    jump = address.jump
    fields = {
        "ssh": _spelled(address),
        "key": address.key_file,
        "host_key": address.host_key.text if address.host_key else "",
        "jump": _spelled(jump) if jump else "",
        "jump_host_key": jump.host_key.text if jump and jump.host_key else "",
    }
    return {name: text for name, text in fields.items() if text}


def _spelled(address: SshAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.user}@{host}:{address.port}"


def _recorded(fields: Mapping[str, str], name: str) -> HostKey:
    if not fields.get(name):
        raise SpecError("no host key is recorded for the device; register it again")
    return HostKey.parse(fields[name])


def _open(address: Address, *, root: str, state_dir: Path, cpus: frozenset[int] | None) -> Transport:
    with extras():
        from lutfarm_agents.transports.ssh.transport import SshTransport

    del state_dir, cpus
    if not isinstance(address, SshAddress):
        raise ValueError(f"a {type(address).__name__} is no SSH address")
    return SshTransport(address, root=root)


KIND = TransportKind(SshAddress, read, write, _open)
