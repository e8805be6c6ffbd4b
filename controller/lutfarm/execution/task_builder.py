"""Makes what a device needs of a measurement: the model file, its inputs, a sample of the right output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph_bytes import graph_bytes
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Task
from lutfarm_jobs.run import Probe
from lutfarm_jobs.runtimes import ModelFormat, model_format
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spaces.base import Space

if TYPE_CHECKING:
    from lutfarm_jobs.feeds.resolve import ValuesFile
    from lutfarm_jobs.models import Built


@dataclass(slots=True)
class TaskBuilder:
    """Builds lazily, into a cache by content; `paths` says where each artifact lies on this machine.

    What builds and reads model files is imported with the first one: a job of which nothing is left needs none of it.
    """

    cache_dir: Path
    sources: Sources
    paths: dict[str, Path] = field(default_factory=dict[str, Path])
    _random: Mapping[str, tuple[str, ...]] = field(init=False)
    _paths: Mapping[str, Path] = field(init=False)
    _values_files: Mapping[str, ValuesFile] = field(init=False)
    _built: dict[tuple[Workload, ModelFormat], Built] = field(init=False)

    def __post_init__(self) -> None:
        self._built = {}
        self._random = self.sources.random
        self._paths, self._values_files = self.sources.model_paths, self.sources.values_files

    def task(self, measurement: Measurement, probe: Probe | None) -> Task:
        """The measurement with all that a device needs.

        Raises SpecError for a model file that changed, and for a model that does not fit into this machine's memory.
        """
        try:
            return self._task(measurement, probe)
        except MemoryError as error:
            workload = measurement.workload
            raise SpecError(
                f"{workload.name}: this machine has too little memory to build its model{self._size(workload)}; leave it out, or "
                "run the job from a machine with more"
            ) from error

    def _task(self, measurement: Measurement, probe: Probe | None) -> Task:
        from lutfarm_jobs.models.reference_output import expected

        fmt = model_format(measurement.backend.runtime)
        built = self._build(measurement, fmt)
        self.paths[built.artifact.sha256] = built.path
        return Task(
            measurement=measurement,
            artifact=built.artifact,
            inputs=measurement.workload.inputs or built.inputs,
            values=self._values(measurement.workload),
            input_layout=built.input_layout,
            expected=expected(measurement.workload, fmt, self.cache_dir, spaces=self._spaces_by_name())
            if probe is None
            else None,
            iteration_ns=probe.iteration_ns if probe else None,
            model_memory_bytes=probe.model_memory_bytes if probe else None,
            random=self._random.get(measurement.workload.sha256, ()),
        )

    def _size(self, workload: Workload) -> str:
        """In words; empty for somebody's own file, which is only copied."""
        if workload.kind == "file":
            return ""
        from lutfarm_jobs.models.build_model import graph_of

        return f", of {graph_bytes(graph_of(workload, spaces=self._spaces_by_name())):,} bytes"

    def canary(self, backend: Backend) -> Artifact:
        """The reference operator of a backend."""
        from lutfarm_jobs import models

        built = models.canary(model_format(backend.runtime), self.cache_dir)
        self.paths[built.artifact.sha256] = built.path
        return built.artifact

    def models_of(self, *artifacts: Artifact) -> Mapping[str, Path]:
        """Where these artifacts lie, by SHA-256."""
        return {artifact.sha256: self.paths[artifact.sha256] for artifact in artifacts}

    def _values(self, workload: Workload) -> Artifact | None:
        if not workload.values_sha256:
            return None
        values = self._values_files[workload.values_sha256]
        if values.artifact.sha256 not in self.paths:
            from lutfarm_jobs import models

            self.paths[values.artifact.sha256] = models.keep_values(values, self.cache_dir).path
        return values.artifact

    def _build(self, measurement: Measurement, fmt: ModelFormat) -> Built:
        # Checked once in a job: a round must not wait until a hundred files were hashed again.
        workload = measurement.workload
        place = workload, fmt
        if place not in self._built:
            from lutfarm_jobs import models

            self._built[place] = (
                models.import_file(self._paths[workload.sha256], self.cache_dir, sha256=workload.sha256)
                if workload.kind == "file"
                else models.build(workload, fmt, self.cache_dir, spaces=self._spaces_by_name())
            )
        return self._built[place]

    def _spaces_by_name(self) -> dict[str, Space]:
        return {space.name: space for space in self.sources.spaces.values()}
