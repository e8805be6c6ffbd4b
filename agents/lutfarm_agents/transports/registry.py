"""The ways to reach devices, a line each, and the one place where addresses are read, written and opened.

docs/extending.md shows one from another package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lutfarm_agents.address import Address, UnknownAddress
from lutfarm_agents.device import Device
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.kind import PLACE, TOOL, TransportKind, checked_root
from lutfarm_jobs.errors import PluginRefused, RegistrationStale, SpecError
from lutfarm_jobs.registry import Registry

LONGEST_FIELD = 4096

TRANSPORTS = Registry(
    "lutfarm.transports",
    "transport",
    TransportKind,
    {
        "local": "lutfarm_agents.transports.local:KIND",
        "ssh": "lutfarm_agents.transports.ssh.kind:KIND",
        "adb": "lutfarm_agents.transports.adb.kind:KIND",
    },
)
"""By the name that a registered device has for it."""


def read_address(transport: str, fields: Mapping[str, object]) -> Address:
    """From what the store holds, or a person gave.  Raises SpecError, NotReady, PluginRefused.

    One of a transport that is not installed here is kept as it is: the farm's other devices go on.
    """
    said = {name: text for name, text in fields.items() if isinstance(text, str) and len(text) <= LONGEST_FIELD}
    if wrong := sorted(set(fields) - set(said)):
        raise SpecError(f"its field {wrong[0][:40]!r} is no text of at most {LONGEST_FIELD} characters")
    if transport not in TRANSPORTS:
        return UnknownAddress(said, python=said.get("python", ""), bundle=said.get("bundle", ""))
    kind = TRANSPORTS[transport]
    own = {name: text for name, text in said.items() if name not in PLACE and not name.startswith(TOOL)}
    with TRANSPORTS.calling(transport):
        found = kind.read(own)
    if type(found) is not kind.address:
        raise PluginRefused(f"{TRANSPORTS.source(transport)} reads an address as a {type(found).__name__}")
    tools = {name.removeprefix(TOOL): text for name, text in said.items() if name.startswith(TOOL)}
    place = {name: said[name] for name in PLACE if name in said}
    if place.get("root"):
        checked_root(place["root"], "its folder")
    return replace(found, **place, tools=tools)


def write_address(device: Device) -> Mapping[str, object]:
    """As the store holds it: the inverse of `read_address`.  Raises PluginRefused."""
    address = device.address
    if isinstance(address, UnknownAddress):
        return dict(address.fields)
    with TRANSPORTS.calling(device.transport):
        own = dict(TRANSPORTS[device.transport].write(address))
        for text in own.values():
            TRANSPORTS.given(device.transport, text, str)
    place = {"root": address.root, "python": address.python, "bundle": address.bundle}
    tools = {f"{TOOL}{name}": path for name, path in address.tools.items()}
    return {**own, **{name: text for name, text in place.items() if text}, **tools}


def root_of(device: Device, state_dir: Path) -> str:
    """The folder on the device that is lutfarm's own; absolute."""
    own = device.address.root or TRANSPORTS[device.transport].root
    if device.address.here and not own:
        return str(state_dir.absolute() / "devices" / device.name)
    return checked_root(own, f"{device.name}: its folder", to_do="; register it again")


def python_of(device: Device) -> str:
    """The interpreter on the device; see Device.tools_only."""
    return device.address.python or sys.executable


def open_transport(device: Device, state_dir: Path, *, cpus: frozenset[int] | None = None) -> Transport:
    """Nothing is connected yet.  `cpus`: see LocalTransport.  Raises PluginRefused, RegistrationStale for an address
    that could not be read, SpecError for one that is of another transport.
    """
    kind = TRANSPORTS[device.transport]
    if isinstance(device.address, UnknownAddress):
        raise RegistrationStale(f"{device.name}: its stored address can't be used: {device.address.why}; register it again")
    root = root_of(device, state_dir)
    if type(device.address) is not kind.address:
        found = type(device.address).__name__
        raise SpecError(f"{device.name}: a {found} is no address of the transport {device.transport}; register it again")
    with TRANSPORTS.calling(device.transport):
        return kind.open(device.address, root=root, state_dir=state_dir, cpus=cpus)
