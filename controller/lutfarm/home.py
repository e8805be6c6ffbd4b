"""Where state lives: `--home`, else `LUTFARM_HOME`, else the user's data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folders under one home."""

    path: Path

    @property
    def models(self) -> Path:
        """Model files, by content."""
        return self.path / "models"

    @property
    def agents(self) -> Path:
        """What agents on this host keep: the packed runner, local devices' folders."""
        return self.path / "agents"

    @property
    def bundles(self) -> Path:
        """Pythons with a runtime for devices that have none: see lutfarm.bundle."""
        return self.path / "bundles"


def find_home(given: Path | None = None) -> Home:
    """The home that was asked for; nothing is created."""
    if given is not None:
        return Home(given.expanduser().absolute())
    if from_environment := os.environ.get("LUTFARM_HOME"):
        return Home(Path(from_environment).expanduser().absolute())
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Home(Path(data).expanduser().absolute() / "lutfarm")
