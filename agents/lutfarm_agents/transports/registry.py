"""From a registered device's address to the transport that reaches it."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.device import Device
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.local import LocalTransport
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.extras import extras

LONGEST_ROOT = 500
PHONE_ROOT = "/data/local/tmp/lutfarm"
NAME_OR_V4_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?"
V6_PATTERN = r"\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,45}"
USER_PATTERN = r"[A-Za-z_][A-Za-z0-9._-]{0,31}\$?"
SERIAL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"


def root_of(device: Device, state_dir: Path) -> str:
    """The folder on the device that is lutfarm's own; absolute."""
    if device.transport == "local":
        return str(state_dir.absolute() / "devices" / device.name)
    root = device.address.get("root") or (PHONE_ROOT if device.transport == "adb" else "")
    return checked_root(root, f"{device.name}: its folder", to_do="; register it again")


def checked_root(root: str, what: str, *, to_do: str = "") -> str:
    """A folder on a device.  Raises SpecError that begins with `what`, says what is wrong with it, and what to do."""
    wrong = [
        (not root.startswith("/"), "is not an absolute path"),
        (len(root) > LONGEST_ROOT, f"has more than {LONGEST_ROOT} characters"),
        (not root.isprintable(), "has a line break or another character that can't be printed"),
        (".." in root.split("/"), "has `..` in it"),
        # A loader reads them as something else: see lutfarm_agents.provisioning.bundle_layout.
        (any(character in root for character in ":;$"), "has one of : ; $ in it, which a bundle can't be started below"),
        (not root.strip("/"), "is the whole file system"),
    ]
    for is_wrong, why in wrong:
        if is_wrong:
            raise SpecError(f"{what} {root[:80]!r} {why}{to_do}")
    return root


def python_of(device: Device) -> str:
    """The interpreter on the device; see Device.tools_only."""
    return device.address.get("python") or sys.executable


def open_transport(device: Device, state_dir: Path, *, cpus: frozenset[int] | None = None) -> Transport:
    """Nothing is connected yet.  `cpus`: see LocalTransport.  Raises SpecError for an address that is none, ExtraMissing."""
    root = root_of(device, state_dir)
    if device.transport == "local":
        return LocalTransport(Path(root), cpus)
    # Each of the two libraries is imported where a device needs it: together 0.3 s of a command that measures this machine.
    if device.transport == "adb":
        with extras():
            from lutfarm_agents.transports.adb.transport import AdbTransport

        return AdbTransport(checked_serial(device.address.get("serial", "")), root=root, keys=keys_folder(state_dir))
    with extras():
        from lutfarm_agents.transports.ssh.transport import SshTransport

    return SshTransport(ssh_address(device.address), root=root)


def keys_folder(state_dir: Path) -> Path:
    """Where the farm's ADB keys are."""
    return state_dir.absolute() / "keys"


def checked_serial(text: str) -> str:
    """A phone's serial number, or HOST:PORT.  Raises SpecError."""
    if not re.fullmatch(SERIAL_PATTERN, text):
        raise SpecError(f"{text[:80]!r} is neither a phone's serial number nor HOST:PORT; see lutfarm device discover")
    return text


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


def ssh_address(address: Mapping[str, str]) -> SshAddress:
    """As it was recorded at registration.  Raises SpecError, NotReady."""
    target = parse_ssh(address.get("ssh", ""))
    jump = None
    if text := address.get("jump", ""):
        hop = parse_ssh(text)
        jump = SshAddress(hop.host, hop.user, hop.port, address.get("key", ""), _recorded(address, "jump_host_key"))
    return SshAddress(target.host, target.user, target.port, address.get("key", ""), _recorded(address, "host_key"), jump)


def _recorded(address: Mapping[str, str], name: str) -> HostKey:
    if not address.get(name):
        raise SpecError("no host key is recorded for the device; register it again")
    return HostKey.parse(address[name])
