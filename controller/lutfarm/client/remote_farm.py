"""A served farm from elsewhere: jobs, devices and tables by its HTTP API."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from lutfarm.api.answers import (
    DeviceAnswer,
    DeviceDetail,
    DeviceStateAnswer,
    FileAnswer,
    JobAnswer,
    JobDetail,
    JobStanding,
    Page,
    PredictedAnswer,
    RemovedAnswer,
    TransitionAnswer,
    VersionAnswer,
    WhyAnswer,
)
from lutfarm.api.hosts import DrainAnswer, HostAnswer
from lutfarm.api.requests import CancelRequest, HoldRequest, JobRequest, PredictRequest
from lutfarm.client.events import events
from lutfarm.client.link import Link
from lutfarm.comparison.result import Comparison
from lutfarm.comparison.sides import ROUNDS
from lutfarm.lut import LatencyTable
from lutfarm.lut.formats.json import parse
from lutfarm.validation import Validated
from lutfarm_jobs.errors import NotFound, ServerBusy, ServerUnreachable, SpecError
from lutfarm_jobs.file_hash import sha256_of
from lutfarm_jobs.job_file.named_files import files_of, require_name
from lutfarm_jobs.models.files import plain
from lutfarm_jobs.run import Run
from lutfarm_jobs.spec import JOB_LIMIT_BYTES, load_job
from lutfarm_jobs.spec_problems import describe

Asked = TypeVar("Asked", bound=BaseModel)
PAGE = 200
LISTENS_S = 60.0  # without a word from the server: it says one each 15 s
TRIES = 5  # in a row, to go on listening
PAUSE_S = 1.0


class RemoteFarm:
    """The farm at an address.  A context manager; every method raises the FarmError that the farm answers.

    `token`: see `lutfarm token create`; none where the farm serves this machine alone and has none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._link = Link(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its connections."""
        self._link.close()

    def version(self) -> VersionAnswer:
        """Which lutfarm answers."""
        return self._link.get("/version", VersionAnswer)

    def submit(self, job: Path, *, priority: int = 0, retry_failed: bool = False, until_s: float | None = None) -> JobDetail:
        """Send a job file with the files that it names, and no other; those that the farm has are not sent again.

        The same job again is the same job, and nothing is doubled.  Raises SpecError as `lutfarm run` would.
        """
        files, more = self._files(job), {"priority": priority, "retry_failed": retry_failed, "until_s": until_s}
        return self._submitted(_asked(JobRequest, job=_text(job), files=files, **more))

    def compare(
        self, job: Path, a: Mapping[str, object], b: Mapping[str, object], *, rounds: int = ROUNDS, target: float | None = None
    ) -> JobDetail:
        """Send a job that measures a job file's workloads on two sides, as `lutfarm compare` does; the same sides again go on.

        `a`, `b`: of device, runtime, threads, precision and provider, what differs from the job.
        """
        files, sides = self._files(job), {"a": dict(a), "b": dict(b), "rounds": rounds, "target": target}
        return self._submitted(_asked(JobRequest, job=_text(job), files=files, compares=sides))

    def comparison(self, name: str, *, margin: float = 0.03) -> Comparison:
        """What a job that compares has come to by now.  Raises NothingCompared where too little is measured."""
        return self._link.get(f"{_job(name)}/comparison", Comparison, margin=margin)

    def validate(
        self,
        name: str,
        *,
        networks: int = 20,
        calibrate: int = 0,
        seed: int = 0,
        space: str | None = None,
        retry_failed: bool = False,
    ) -> JobDetail:
        """Have a job's table held against networks that it has never seen, as `lutfarm lut validate` does.

        `space`: a known one's name, as the job names it, or the path of its file here.
        """
        text, files = self._space(space)
        study = {"job": name, "networks": networks, "calibrate": calibrate, "seed": seed, "space": text}
        return self._submitted(_asked(JobRequest, validates=study, files=files, retry_failed=retry_failed))

    def validation(self, name: str) -> Validated:
        """What a job that validates has come to.  Raises SpecError where too few of its networks are measured."""
        return self._link.get(f"{_job(name)}/validation", Validated)

    def _submitted(self, asked: JobRequest) -> JobDetail:
        return self._link.send("POST", "/jobs", JobDetail, asked)

    def _files(self, job: Path) -> dict[str, str]:
        """What a job file names, by name the SHA-256; the farm has it then."""
        return {name: self._sent(path) for name, path in files_of(load_job(job), job.absolute().parent).items()}

    def _space(self, text: str | None) -> tuple[str | None, dict[str, str]]:
        """What a space is called there, and the file that was sent for it."""
        if text is None or not text.endswith((".yaml", ".yml")) or not Path(text).is_file():
            return text, {}
        sha256 = self._sent(Path(text))
        try:
            require_name(text)
        except SpecError:  # it lies elsewhere; under this name no job has a space of its own
            text = f"{sha256}.yaml"
        return text, {text: sha256}

    def _sent(self, path: Path) -> str:
        """The SHA-256 of a file, which the farm has then."""
        with plain(path, "a file that a job names") as file:
            sha256 = sha256_of(file)
            try:
                self._link.get(f"/files/{sha256}", FileAnswer)
            except NotFound:
                file.seek(0)
                headers = {"Content-Type": "application/octet-stream"}
                self._link.asked("PUT", f"/files/{sha256}", content=file, headers=headers)
        return sha256

    def jobs(self) -> Iterator[JobAnswer]:
        """All jobs, the newest first."""
        return self._pages("/jobs", Page[JobAnswer])

    def job(self, name: str) -> JobDetail:
        """By its id, the start of it, or its name.  Raises NotFound."""
        return self._link.get(_job(name), JobDetail)

    def why(self, name: str) -> WhyAnswer:
        """Why a job is where it is, device by device."""
        return self._link.get(f"{_job(name)}/why", WhyAnswer)

    def cancel(self, job_id: str, why: str = "") -> JobDetail:
        """End a job; it is over once its `queue` is None."""
        return self._link.send("POST", f"{_job(job_id)}/cancel", JobDetail, _asked(CancelRequest, why=why))

    def remove(self, job_id: str) -> RemovedAnswer:
        """Remove a job that is over, with what no other job reads."""
        return self._link.send("DELETE", _job(job_id), RemovedAnswer)

    def follow(self, name: str) -> Iterator[JobStanding]:
        """A job each time its state or counts change, until the farm has nothing more to do for it.

        Where the connection breaks it is made again, a few times in a row.  Raises NotFound where the job is removed meanwhile.
        """
        silent, last = 0, None  # how often in a row nothing was told
        while silent < TRIES:
            silent += 1
            try:
                for told, data in self._events(name):
                    silent = 0
                    if told == "removed":
                        raise NotFound(f"the job {name[:100]!r} was removed")
                    standing = _standing(data) if told in ("job", "end") else None
                    if standing is not None and standing != last:
                        last = standing
                        yield standing
                    if told == "end":
                        return
            except (ServerUnreachable, ServerBusy):
                if silent >= TRIES:
                    raise
            time.sleep(PAUSE_S * 2.0**silent)
        raise ServerUnreachable(f"the farm tells nothing of the job {name[:100]!r}; see that it is served")

    def _events(self, name: str) -> Iterator[tuple[str, str]]:
        with self._link.answer("GET", f"{_job(name)}/events", silence_s=LISTENS_S) as found:
            yield from events(found.iter_lines())

    def runs(self, name: str, *, samples: bool = True) -> Iterator[Run]:
        """The runs of a job, in the order of their arrival; without samples the slices are empty."""
        return self._pages(f"{_job(name)}/runs", Page[Run], samples=samples)

    def table(self, name: str, *, pool: str | None = None, device: str | None = None, backend: str | None = None) -> LatencyTable:
        """The table of a job, as `lutfarm lut export` writes it: with what is stored now."""
        params = {"format": "json", "pool": pool, "device": device, "backend": backend}
        content = self._link.asked("GET", f"{_job(name)}/table", params=params)
        return parse(content)

    def predict(
        self,
        name: str,
        archs: Sequence[str],
        *,
        space: str | None = None,
        device: str | None = None,
        backend: str | None = None,
        allow_partial: bool = False,
        uncalibrated: bool = False,
    ) -> PredictedAnswer:
        """What networks take by a job's table, on the farm's side: architectures in the space's own encoding."""
        asked = _asked(
            PredictRequest,
            archs=list(archs),
            space=space,
            device=device,
            backend=backend,
            allow_partial=allow_partial,
            uncalibrated=uncalibrated,
        )
        return self._link.send("POST", f"{_job(name)}/table/predict", PredictedAnswer, asked)

    def devices(self) -> Iterator[DeviceAnswer]:
        """All registered devices, by name."""
        return self._pages("/devices", Page[DeviceAnswer])

    def device(self, name: str) -> DeviceDetail:
        """One device: what it does, what it last said of itself.  Raises NotFound."""
        return self._link.get(_device(name), DeviceDetail)

    def history(self, name: str) -> list[TransitionAnswer]:
        """The newest changes of a device's state, the oldest first."""
        return self._link.get(f"{_device(name)}/history", list[TransitionAnswer])

    def hold(self, name: str, reason: str) -> DeviceStateAnswer:
        """Take a device out of work for maintenance."""
        return self._link.send("POST", f"{_device(name)}/hold", DeviceStateAnswer, _asked(HoldRequest, reason=reason))

    def release(self, name: str) -> DeviceStateAnswer:
        """Give a device in maintenance or quarantine back to work, unchecked."""
        return self._link.send("POST", f"{_device(name)}/release", DeviceStateAnswer)

    def hosts(self) -> Iterator[HostAnswer]:
        """The hosts that have joined, and those that devices hang on, by name."""
        return self._pages("/hosts", Page[HostAnswer])

    def drain_host(self, name: str) -> DrainAnswer:
        """Take all devices of a host out of work for maintenance."""
        return self._link.send("POST", f"{_host(name)}/drain", DrainAnswer)

    def remove_host(self, name: str) -> None:
        """Forget a host that is lost and on which no device is registered."""
        self._link.asked("DELETE", _host(name))

    def _pages(self, path: str, kind: Any, **params: object) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            found = self._link.get(path, kind, limit=PAGE, cursor=cursor, **params)
            yield from found.items
            if found.next is None:
                return
            if found.next == cursor:
                raise ServerUnreachable("the farm gives the same page for ever; are both of one version of lutfarm?")
            cursor = found.next


def _asked(kind: type[Asked], **fields: Any) -> Asked:
    """Raises SpecError for what no farm takes."""
    try:
        return kind(**fields)
    except ValidationError as error:
        raise SpecError(describe(error)) from error


def _job(name: str) -> str:
    return f"/jobs/{_part(name, 'job')}"


def _host(name: str) -> str:
    return f"/hosts/{_part(name, 'host')}"


def _device(name: str) -> str:
    return f"/devices/{_part(name, 'device')}"


def _part(name: str, what: str) -> str:
    """Of a path.  Raises SpecError for a name that would make another path of it."""
    if name in ("", ".", ".."):
        raise SpecError(f"{name!r} is no {what}'s name")
    return quote(name, safe="")


def _standing(data: str) -> JobStanding:
    try:
        return JobStanding.model_validate_json(data)
    except ValidationError as error:
        raise SpecError("the farm tells of a job what is not understood here; are both of one version of lutfarm?") from error


def _text(job: Path) -> str:
    with job.open("rb") as file:
        return file.read(JOB_LIMIT_BYTES + 1).decode()
