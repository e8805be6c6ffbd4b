"""The files that a job names: which they are, and whether they lie in the job's own folder."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.feeds.choices import WORDS
from lutfarm_jobs.job_file.workloads import ModelsWorkload, SpaceWorkload
from lutfarm_jobs.models.model_names import named
from lutfarm_jobs.spec import JobSpec

LONGEST_NAME = 1024
LONGEST_PART = 200
DEEPEST = 16
INPUT_FILE = re.compile(r"input_\d{1,6}\.pb")


def named_paths(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Every path that a job names, with the field that names it; a text that may be one counts as one."""
    for position, workload in enumerate(spec.workloads):
        where = f"workloads[{position}]"
        if isinstance(workload, SpaceWorkload):
            if workload.definition is None and _is_file(workload.space):
                yield f"{where}.space", workload.space
        elif isinstance(workload, ModelsWorkload):
            yield from ((f"{where}.models", pattern) for pattern in workload.models)
            yield from ((f"{where}.values.{name}", path) for name, path in _value_files(workload))
            if workload.test_data is not None:
                yield f"{where}.test_data", workload.test_data


def require_own_folder(spec: JobSpec) -> None:
    """Raises SpecError for a job that names anything outside its own folder."""
    for where, path in named_paths(spec):
        if path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise SpecError(
                f"{where}: {path[:200]!r} lies outside the job's folder, and a served farm reads nothing there; "
                "put the file beside the job file and name it from there"
            )


def files_of(spec: JobSpec, folder: Path) -> Mapping[str, Path]:
    """The files that a job reads that lies in `folder`, by their names from there.  Raises SpecError where one is not there."""
    require_own_folder(spec)
    names: dict[str, None] = {}
    for position, workload in enumerate(spec.workloads):
        if isinstance(workload, SpaceWorkload) and workload.definition is None and _is_file(workload.space):
            names[workload.space] = None
        elif isinstance(workload, ModelsWorkload):
            models = named(workload.models, folder, where=f"workloads[{position}]")
            names |= dict.fromkeys(models)
            names |= dict.fromkeys(path for _, path in _value_files(workload) if (folder / path).is_file())
            for model in models if workload.test_data is not None else ():
                names |= dict.fromkeys(_test_data(folder, model, cast(str, workload.test_data)))
    found = {posixpath.normpath(name): folder / name for name in names}
    for name in found:
        require_name(name)
    return found


def require_name(name: str) -> None:
    """Raises SpecError for what can't be a file's name in a job's folder."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and posixpath.normpath(name) == name and not name.startswith(("/", "../"))
    if not plain or name in ("", ".", ".."):
        raise SpecError(
            f"{name[:200]!r} is no file's name in a job's folder: relative, printable, with /, without .., . or an empty part"
        )
    if len(name) > LONGEST_NAME or len(parts) > DEEPEST or max(len(part.encode()) for part in parts) > LONGEST_PART:
        raise SpecError(
            f"{name[:80]!r}... is too long for a file's name: {LONGEST_NAME} characters, {DEEPEST} folders and {LONGEST_PART} "
            "bytes for each of them is the most"
        )


def _value_files(workload: ModelsWorkload) -> Iterator[tuple[str, str]]:
    """Of inputs whose values may lie in a file: for an input of texts it is the text itself."""
    for name, choice in workload.values.items():
        if isinstance(choice, dict) and "file" in choice:
            yield name, cast("dict[str, str]", choice)["file"]
        elif isinstance(choice, str) and choice not in WORDS:
            yield name, choice


def _test_data(folder: Path, model: str, test_data: str) -> Iterator[str]:
    beside = PurePosixPath(model).parent / test_data
    for entry in sorted((folder / beside).iterdir()) if (folder / beside).is_dir() else ():
        if INPUT_FILE.fullmatch(entry.name):
            yield str(beside / entry.name)


def _is_file(space: str) -> bool:
    return space.endswith((".yaml", ".yml"))
