"""The model files of one device: content-addressed, each copied once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import TransferFailed
from lutfarm_jobs.file_hash import intact_size
from lutfarm_jobs.round import Artifact


class ModelCache:
    """A folder on the device; a file is named by its SHA-256 and is whole if it is there."""

    def __init__(self, transport: Transport, folder: str) -> None:
        self.pushed = 0  # files copied
        self._transport = transport
        self._folder = folder
        self._present: set[str] = set()

    def forget(self) -> None:
        """Look again what is there."""
        self._present.clear()

    def place(self, artifact: Artifact) -> str:
        """Where an artifact lies on the device."""
        return f"{self._folder}/{artifact.file_name}"

    def fill(self, artifacts: Iterable[Artifact], models: Mapping[str, Path]) -> int:
        """Copy what is not there yet; nanoseconds that it took.  Raises TransferFailed."""
        began_ns = time.monotonic_ns()
        for artifact in artifacts:
            if artifact.sha256 not in self._present:
                self._push(artifact, models)
                self._present.add(artifact.sha256)
        return time.monotonic_ns() - began_ns

    def _push(self, artifact: Artifact, models: Mapping[str, Path]) -> None:
        remote = self.place(artifact)
        if self._transport.exists(remote):
            return
        local = models.get(artifact.sha256)
        if local is None:
            raise TransferFailed(f"the order names no file for the model {artifact.sha256[:12]}")
        if intact_size(local, artifact.sha256) is None:
            raise TransferFailed(f"{local} changed or can't be read; remove it, and it is built again")
        self._transport.put(local, remote)
        self.pushed += 1
