"""What one host's actor does: wraps a LocalPool, and finds model files that came from elsewhere.  No Ray here."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lutfarm.agent_pool.interface import Event, Opening, Order
from lutfarm.agent_pool.local import AgentFactory, LocalPool
from lutfarm.agent_pool.ray.whereabouts import host_state
from lutfarm_jobs.atomic_files import READABLE, publish
from lutfarm_jobs.errors import TransferFailed
from lutfarm_jobs.file_hash import intact_size


class Host:
    """All devices of one host.  Its methods are called from several threads."""

    def __init__(self, here: tuple[Path, frozenset[int]] | None, agent_factory: AgentFactory) -> None:
        """`here`: where agents keep their files, and the cores of rounds; None: what `lutfarm host join` says on this host."""
        state_dir, measured_cpus = host_state() if here is None else here
        self._pool = LocalPool(state_dir=state_dir, measured_cpus=measured_cpus, agent_factory=agent_factory)
        self._received = state_dir / "received"
        self._found: dict[str, Path] = {}

    def pid(self) -> int:
        """Of the process that the actor lives in."""
        return os.getpid()

    def submit(self, order: Order, opening: Opening | None) -> None:
        """Start an order; `opening` is how its device was opened last, maybe by an actor that died."""
        if opening is not None:
            self._pool.recall(opening)
        if not isinstance(order, Opening):
            order = replace(order, models={sha: self._found.get(sha, path) for sha, path in order.models.items()})
        self._pool.submit(order)

    def poll(self, timeout_s: float) -> Sequence[Event]:
        """What has arrived, waiting up to timeout_s."""
        return self._pool.events(timeout_s)

    def cancel(self, order_id: str) -> None:
        """End an order soon."""
        self._pool.cancel(order_id)

    def release(self, unit: str) -> None:
        """End a device's session soon."""
        self._pool.release(unit)

    def acknowledge(self, unit: str, run_ids: Collection[str]) -> None:
        """Forget results that are stored, or never can be."""
        self._pool.acknowledge(unit, run_ids)

    def missing(self, models: Mapping[str, Path]) -> Sequence[str]:
        """Which of these files this host can't see, neither where they are said to be nor as received before."""
        return [sha256 for sha256, path in models.items() if not self._find(sha256, path)]

    def receive(self, sha256: str, part: bytes, at: int, size_bytes: int) -> None:
        """Keep a file of so many bytes that comes over the network in parts, one after the other; this one begins `at`.

        Raises TransferFailed where it can't, and where the whole is not what it should be.
        """
        path = self._received / sha256
        draft = self._received / f"{sha256}.part"
        try:
            self._received.mkdir(parents=True, exist_ok=True)
            with draft.open("ab" if at else "wb") as file:
                begins = file.tell()
                file.write(part)
            if begins == at and at + len(part) < size_bytes:
                return
            if begins != at or intact_size(draft, sha256) is None:
                draft.unlink()
                raise TransferFailed(f"the model {sha256[:12]} arrived damaged")
            publish(draft, path, mode=READABLE)
        except OSError as error:
            raise TransferFailed(f"{path} can't be written: {error}") from error
        self._found[sha256] = path

    def close(self) -> None:
        """End every session."""
        self._pool.close()

    def _find(self, sha256: str, path: Path) -> bool:
        for candidate in (self._found.get(sha256), path, self._received / sha256):
            if candidate is not None and intact_size(candidate, sha256) is not None:
                self._found[sha256] = candidate
                return True
        return False
