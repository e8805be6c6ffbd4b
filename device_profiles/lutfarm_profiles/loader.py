"""Finds profiles: the user's own folder first, then those that are shipped."""

from __future__ import annotations

import os
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN
from lutfarm_jobs.spec_problems import describe
from lutfarm_jobs.yaml_reader import read_yaml
from lutfarm_profiles.profile import DeviceProfile

PROFILE_LIMIT_BYTES = 100_000


def user_folder() -> Path:
    """Where a person puts profiles of their own."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "lutfarm" / "profiles"


def load(name: str, *, folder: Path | None = None) -> DeviceProfile:
    """The profile of that name.  Raises SpecError naming the file and the field, or what there is instead."""
    own = folder or user_folder()
    if re.fullmatch(NAME_PATTERN, name):
        if (path := own / f"{name}.yaml").is_file():
            return _read(path)
        with resources.as_file(_catalog() / f"{name}.yaml") as shipped:
            if shipped.is_file():
                return _sourced(_read(shipped))
    raise SpecError(
        f"there is no device profile {name[:80]!r}; there are {', '.join(names(folder=own))}. One of your own goes to {own}"
    )


def names(*, folder: Path | None = None) -> list[str]:
    """All profiles, the user's own among them."""
    own = folder or user_folder()
    file_names = {entry.name for entry in _catalog().iterdir()}
    if own.is_dir():
        file_names |= {entry.name for entry in own.iterdir() if entry.is_file()}
    return sorted(name.removesuffix(".yaml") for name in file_names if name.endswith(".yaml"))


def load_all(*, folder: Path | None = None) -> tuple[DeviceProfile, ...]:
    """Every profile, by name.  Raises SpecError as `load` does."""
    return tuple(load(name, folder=folder) for name in names(folder=folder))


def _catalog() -> Traversable:
    return resources.files("lutfarm_profiles") / "catalog"


def _read(path: Path) -> DeviceProfile:
    content = read_yaml(path, limit_bytes=PROFILE_LIMIT_BYTES)
    if not isinstance(content, dict):
        raise SpecError(f"{path}: a profile is a mapping with name, kind, work_dir, ...; docs/profiles.md lists the fields")
    try:
        profile = DeviceProfile.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{path}: {describe(error)}") from error
    if profile.name != path.stem:
        raise SpecError(f"{path}: name is {profile.name!r}; it must be the file's, {path.stem!r}")
    return profile


def _sourced(profile: DeviceProfile) -> DeviceProfile:
    if not profile.sources and not profile.name.startswith("generic-"):
        raise SpecError(f"the shipped profile {profile.name} has no sources: say where its facts come from")
    return profile
