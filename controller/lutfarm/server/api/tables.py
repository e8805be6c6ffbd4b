"""What a job's runs say: its table as a file, and what networks take by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from lutfarm.api.answers import PredictedAnswer, PredictionAnswer
from lutfarm.api.requests import PredictRequest
from lutfarm.api.root import API
from lutfarm.lut.files import dumped
from lutfarm.lut.formats.known import FORMATS, extension
from lutfarm.server.api.jobs import JobName
from lutfarm.server.served import ServedDep
from lutfarm.server.tables import Part
from lutfarm_jobs.errors import SpecError

router = APIRouter(prefix=f"{API}/jobs", tags=["tables"])
LONGEST_NAME = 200
MEDIA: Mapping[str, str] = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
}
"""By the extension of a format's files; of others nothing is known."""
FILE = {"schema": {"type": "string", "format": "binary"}}
BYTES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": FILE}}}
NameQuery = Annotated[str | None, Query(max_length=LONGEST_NAME)]


@router.get("/{job_id}/table", response_class=Response, responses=BYTES)
def table(
    served: ServedDep,
    job_id: JobName,
    *,
    format: Annotated[str, Query(max_length=LONGEST_NAME, description="json, csv, parquet, ... : see docs/tables.md")] = "json",
    beside: Annotated[bool, Query(description="the file that lies beside it: the manifest of a .csv")] = False,
    pool: NameQuery = None,
    device: NameQuery = None,
    backend: NameQuery = None,
) -> Response:
    """The table as `lutfarm lut export` writes it, with what `lut validate` said of it; of all that is stored now."""
    if format not in FORMATS:
        raise SpecError(FORMATS.unknown(format))
    found = served.tables.of(job_id, Part(pool, device, backend))
    content, content_beside = dumped(found, format)
    ending, made = FORMATS[format].beside, extension(format)
    if beside and ending is None:
        raise SpecError(f"beside a table of the format {format[:80]} lies nothing")
    name = f"{found.manifest.job_id}{ending.ending if beside and ending else made}"
    media = "application/json" if beside else MEDIA.get(made, "application/octet-stream")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content_beside if beside else content, media_type=media, headers=headers)


@router.post("/{job_id}/table/predict")
def predict(served: ServedDep, job_id: JobName, asked: PredictRequest) -> PredictedAnswer:
    """What networks take by the job's table, calibrated where it is."""
    found = served.tables.predict(
        job_id,
        Part(None, asked.device, asked.backend),
        asked.archs,
        space=asked.space,
        allow_partial=asked.allow_partial,
        uncalibrated=asked.uncalibrated,
    )
    (device, backend), *_ = found.table.places
    return PredictedAnswer(
        space=found.space,
        device=device,
        backend=backend,
        unit=found.table.entries[0].quantity_unit,
        validation=found.figures,
        predictions=[PredictionAnswer.of(arch, one) for arch, one in found.predictions],
    )
