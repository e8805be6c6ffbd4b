"""What a job's workloads refer to, read: spaces and model files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lutfarm_jobs.measurement import Feed, InputShape, Workload
from lutfarm_jobs.measurement_key import file_name
from lutfarm_jobs.spaces.base import Space

if TYPE_CHECKING:
    from lutfarm_jobs.feeds.resolve import ValuesFile


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that a job names, read and checked."""

    path: Path
    sha256: str
    format: str
    inputs: tuple[InputShape, ...]
    feeds: tuple[Feed, ...] = ()
    values_file: ValuesFile | None = None
    random: tuple[str, ...] = ()  # kinds of its operators that make random numbers
    computes: bool = True
    refused: str = ""  # why it can't be used, beside others that can be
    name: str = ""  # as the job names it
    precision: str = ""
    batch_size: int | None = None
    takes: str = ""  # types and shapes of all inputs, in words

    @property
    def workload(self) -> Workload:
        """As what is measured: named by file name and content."""
        values = self.values_file.artifact.sha256 if self.values_file else ""
        name = file_name(self.path.name, self.sha256)
        return Workload(
            "file",
            name,
            self.sha256,
            self.inputs,
            self.feeds,
            values,
            self.computes,
            self.refused,
            path=self.name,
            takes=self.takes,
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """What a job's workloads refer to: `spaces` by the text in the job, `models` by workload position.

    `definitions` are what the files of a user's own spaces said, by the text in the job.
    """

    spaces: Mapping[str, Space]
    models: Mapping[int, tuple[ModelFile, ...]]
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    @property
    def model_paths(self) -> Mapping[str, Path]:
        """Where each model file lies, by SHA-256."""
        return {model.sha256: model.path for files in self.models.values() for model in files}

    @property
    def random(self) -> Mapping[str, tuple[str, ...]]:
        """By SHA-256 of a model file: kinds of its operators that make random numbers."""
        return {model.sha256: model.random for files in self.models.values() for model in files if model.random}

    @property
    def values_files(self) -> Mapping[str, ValuesFile]:
        """Where what model files are fed with is made from, by SHA-256."""
        models = [model for files in self.models.values() for model in files]
        return {model.values_file.artifact.sha256: model.values_file for model in models if model.values_file}
