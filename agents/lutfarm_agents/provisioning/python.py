"""How Python is started on a device: its own interpreter, or a bundle that is unpacked there first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lutfarm_agents.device import Device
from lutfarm_agents.provisioning.bundle_layout import arch_named, launch
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.registry import python_of
from lutfarm_agents.transports.writable import NO_SPACE
from lutfarm_jobs.errors import NotReady, RegistrationStale, TransferFailed

UNPACK_S = 600.0  # 120 MB on a slow board's card
NAME_PATTERN = r"bundle-(?P<arch>[a-z0-9]{1,20})-(?P<runtime>[a-z][a-z0-9_]{0,39})-(?P<sha256>[0-9a-f]{64})\.tar"

# $1 tar  $2 folder to be.  Under another name first, and on the disk: a folder of that name is always whole.
UNPACK = """rm -rf "$2.part" && mkdir -p "$2.part" && tar -xf "$1" -C "$2.part" && sync && mv "$2.part" "$2" && rm -f "$1" && exit
rm -rf "$2.part" "$1"
exit 1
"""


@dataclass(frozen=True, slots=True)
class Python:
    """Words that start it, and its environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def python_on(device: Device, transport: Transport, root: str) -> Python:
    """The device's Python, its bundle pushed and unpacked where it is not there yet.

    Raises NotReady where the bundle can't be used, LinkError.
    """
    if not (bundle := device.address.bundle):
        return Python((python_of(device),), {})
    path = Path(bundle)
    named = re.fullmatch(NAME_PATTERN, path.name)
    if named is None:
        raise RegistrationStale(
            f"{device.name}: {path.name[:100]!r} is no bundle; see lutfarm bundle list, and register it again"
        )
    folder = f"{root}/bundles/{named['sha256']}"
    argv, env = launch(folder, arch_named(named["arch"]))
    if not transport.exists(argv[-1]):
        if not path.is_file():
            raise NotReady(
                f"{device.name}: its bundle {path} is gone; build it again: "
                f"lutfarm bundle build --arch {named['arch']} --runtime {named['runtime']}"
            )
        tar = f"{root}/bundles/{named['sha256']}.tar"
        transport.put(path, tar)
        done = transport.run(["sh", "-c", UNPACK, "sh", tar, folder], timeout_s=UNPACK_S)
        if done.code != 0:
            said = done.stderr.strip()[-300:]
            if NO_SPACE in said:
                raise NotReady(f"{device.name}: its disk is full: the bundle needs twice its size in {root}; free space there")
            raise TransferFailed(f"{device.name}: the bundle could not be unpacked: {said}")
    return Python(argv, env)
