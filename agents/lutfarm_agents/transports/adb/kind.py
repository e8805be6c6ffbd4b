"""Phones over ADB: their addresses.  adb_shell is imported where one is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lutfarm_agents.address import AdbAddress, Address
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.kind import TransportKind, only
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.extras import extras

PHONE_ROOT = "/data/local/tmp/lutfarm"
SERIAL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"


def checked_serial(text: str) -> str:
    """A phone's serial number, or HOST:PORT.  Raises SpecError."""
    if not re.fullmatch(SERIAL_PATTERN, text):
        raise SpecError(f"{text[:80]!r} is neither a phone's serial number nor HOST:PORT; see lutfarm device discover")
    return text


def keys_folder(state_dir: Path) -> Path:
    """Where the farm's ADB keys are."""
    return state_dir.absolute() / "keys"


def read(fields: Mapping[str, str]) -> AdbAddress:
    """From its one field.  Raises SpecError."""
    return AdbAddress(checked_serial(only(fields, "serial").get("serial", "")))


def write(address: Address) -> Mapping[str, str]:
    """Its inverse."""
    return {"serial": _phone(address).serial}


def _phone(address: Address) -> AdbAddress:
    if not isinstance(address, AdbAddress):
        raise ValueError(f"a {type(address).__name__} is no phone's address")
    return address


def _open(address: Address, *, root: str, state_dir: Path, cpus: frozenset[int] | None) -> Transport:
    with extras():
        from lutfarm_agents.transports.adb.transport import AdbTransport

    del cpus
    return AdbTransport(checked_serial(_phone(address).serial), root=root, keys=keys_folder(state_dir))


KIND = TransportKind(AdbAddress, read, write, _open, root=PHONE_ROOT)
