"""Where a Ray is and what lets others in, as a file that only this user can read.  No Ray here."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lutfarm_jobs.errors import SpecError


@dataclass(frozen=True, slots=True)
class Versions:
    """What must be equal on all machines of one Ray."""

    lutfarm: str
    ray: str
    python: str

    @classmethod
    def here(cls) -> Versions:
        """Of this process."""
        ray = importlib.metadata.version("ray")
        return cls(importlib.metadata.version("lutfarm"), ray, platform.python_version())

    def check(self, other: Versions, *, mine: str, others: str) -> None:
        """Raises SpecError that names both where they do not go together."""
        wrong = [
            f"{name} {ours} {mine}, {theirs} {others}"
            for name, ours, theirs in zip(asdict(self), asdict(self).values(), asdict(other).values(), strict=True)
            if ours != theirs
        ]
        if wrong:
            raise SpecError(f"{'; '.join(wrong)}: the machines of one farm need the same of each; install the same on both")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`address` is that of Ray's control service, HOST:PORT; `token` is 64 hex digits."""

    address: str
    token: str

    def write(self, path: Path) -> None:
        """To a file of this user's own."""
        draft = path.with_name(f"{path.name}.new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(path)


def read(path: Path) -> Whereabouts | None:
    """None where no Ray was started yet."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return Whereabouts(str(found["address"]), str(found["token"]))
    except FileNotFoundError:
        return None


def remove(path: Path) -> None:
    """No Ray is there any more."""
    path.unlink(missing_ok=True)


HOST_STATE, HOST_CPUS = "LUTFARM_HOST_STATE", "LUTFARM_HOST_CPUS"
"""In the environment of a joined host's Ray: where its agents keep their files, and the cores that rounds run on."""


def host_state() -> tuple[Path, frozenset[int]]:
    """Of the host that this process runs on.  Raises SpecError where it has not joined by `lutfarm host join`."""
    if not (state := os.environ.get(HOST_STATE)):
        raise SpecError("this machine is a node of the Ray, and was not brought there by `lutfarm host join`")
    cpus = os.environ.get(HOST_CPUS, "")
    return Path(state), frozenset(int(cpu) for cpu in cpus.split(",") if cpu)
