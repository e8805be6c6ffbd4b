"""The model files that a job names: what is in them, and what they are fed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lutfarm_jobs.errors import ModelRefused, SpecError
from lutfarm_jobs.feeds.resolve import Asked, feeding
from lutfarm_jobs.file_hash import sha256_of
from lutfarm_jobs.job_file.workloads import ModelsWorkload
from lutfarm_jobs.models.batch import batch_of
from lutfarm_jobs.models.files import plain
from lutfarm_jobs.models.info import ModelInfo, ModelInput
from lutfarm_jobs.models.inspect import format_of, inspect_file
from lutfarm_jobs.models.model_names import named, takes
from lutfarm_jobs.sources import ModelFile


def model_files(workload: ModelsWorkload, folder: Path, *, where: str) -> tuple[ModelFile, ...]:
    """Each file that the workload names, read, with what it is fed; one that can't be used says why.  Raises SpecError."""
    names = named(workload.models, folder, where=where)
    read = [_read(folder / name, name) for name in names]
    infos = [one for one in read if isinstance(one, ModelInfo)]
    known = {declared.name for info in infos for declared in info.inputs}
    for field_name, said in (("inputs", workload.inputs), ("values", workload.values)):
        if infos and (unknown := sorted(set(said) - known)):
            raise SpecError(f"{where}.{field_name}: no model of this workload has an input named {unknown[0]!r}")
    asked = Asked(folder, workload.inputs, workload.values, workload.test_data)
    return tuple(
        _model_file(one, replace(asked, shapes=_shapes_for(one, infos, workload.inputs)), name)
        if isinstance(one, ModelInfo)
        else one
        for one, name in zip(read, names, strict=True)
    )


def _read(path: Path, name: str) -> ModelInfo | ModelFile:
    try:
        return inspect_file(path)
    except ModelRefused as error:
        with plain(path) as file:
            return ModelFile(path, sha256_of(file), format_of(path), (), refused=error.detail, name=name)


def _shapes_for(
    info: ModelInfo, infos: Sequence[ModelInfo], shapes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, tuple[int, ...]]:
    """A shape fills what files leave open.  One whose own is closed keeps it where a file beside it takes this."""
    taken = {
        declared.name
        for each in infos
        for declared in each.inputs
        if declared.name in shapes and declared.takes(shapes[declared.name])
    }
    kept = {
        declared.name
        for declared in info.inputs
        if declared.name in taken and not declared.is_dynamic and not declared.takes(shapes[declared.name])
    }
    return {name: shape for name, shape in shapes.items() if name not in kept}


def _model_file(info: ModelInfo, asked: Asked, name: str) -> ModelFile:
    try:
        resolved = feeding(info, asked)
    except ModelRefused as error:
        return ModelFile(info.path, info.sha256, info.format, (), refused=error.detail, name=name)
    fed = [ModelInput(i.name, i.shape, i.dtype) for i in resolved.inputs] or list(info.inputs)
    batch = batch_of([[size or 0 for size in one.shape or ()] for one in fed], info.leads)
    return ModelFile(
        info.path,
        info.sha256,
        info.format,
        resolved.inputs,
        resolved.feeds,
        resolved.values_file,
        info.random,
        resolved.computes,
        name=name,
        precision=info.precision,
        batch_size=batch,
        takes=takes(fed),
    )
