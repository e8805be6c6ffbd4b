"""The runner is pushed to a device, once for each content."""

from __future__ import annotations

from pathlib import Path

from lutfarm_agents.provisioning.runner_zipapp import runner_zipapp
from lutfarm_agents.transports.interface import Transport


def push_runner(transport: Transport, root: str, *, packed: Path) -> tuple[str, str]:
    """Where below root the runner lies on the device, copied there where it is missing, and its SHA-256 in hex.

    `packed`: where this host keeps it packed.  Raises LinkError, PluginRefused.
    """
    path, sha256 = runner_zipapp(packed)
    remote = f"{root}/runner/{sha256}.pyz"
    if not transport.exists(remote):
        transport.put(path, remote)
    return remote, sha256
