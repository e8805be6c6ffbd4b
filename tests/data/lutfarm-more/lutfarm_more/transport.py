"""A transport to a folder of this machine, which stands for a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lutfarm_agents.address import Address
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.transports.kind import TransportKind, checked_root, only
from lutfarm_agents.transports.local import LocalTransport


@dataclass(frozen=True, slots=True)
class FolderAddress(Address):
    """Where the folder is."""

    here: ClassVar[bool] = True

    path: str = ""


def read(fields: Mapping[str, str]) -> FolderAddress:
    """From `path=/an/absolute/path`.  Raises SpecError."""
    path = checked_root(only(fields, "path").get("path", ""), "path")
    return FolderAddress(path, root=path)


def write(address: Address) -> Mapping[str, str]:
    """Its inverse."""
    assert isinstance(address, FolderAddress)
    return {"path": address.path}


def open_folder(address: Address, *, root: str, state_dir: Path, cpus: frozenset[int] | None) -> Transport:
    """Nothing is connected yet."""
    return LocalTransport(Path(root), cpus)


KIND = TransportKind(FolderAddress, read, write, open_folder)
