"""Farm: what a Python program says to a farm."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from lutfarm.api.answers import DeviceAnswer, JobStanding
from lutfarm.api.requests import SideRequest
from lutfarm.comparison import Comparison
from lutfarm.comparison.sides import ROUNDS
from lutfarm.execution.open_farm import ExecutorKind
from lutfarm.farm.jobs import JobLike, Sides, SubmittedJob, Told, Way
from lutfarm.home import SERVER, TOKEN, find_home
from lutfarm.lut import LatencyTable, Prediction
from lutfarm.lut.schema.entry import Entry
from lutfarm.validation import Validated
from lutfarm_jobs.errors import MeasurementError, SpecError, from_wire
from lutfarm_jobs.expand import load_space
from lutfarm_jobs.extras import extras
from lutfarm_jobs.file_hash import sha256_of
from lutfarm_jobs.models.files import plain
from lutfarm_jobs.spec import Study


class Farm:
    """The farm at an address, or that of a home on this machine.  A context manager; to be used from one thread.

    ::

        with lutfarm.Farm() as farm:  # or lutfarm.Farm("http://farm:8420", token="...")
            job = farm.submit("job.yaml")
            job.wait(progress=True)
            table = job.table()

    Every method raises the FarmError that it would be on the command line.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        home: Path | str | None = None,
        executor: ExecutorKind | None = None,
    ) -> None:
        """`url`, `token`: default $LUTFARM_SERVER and $LUTFARM_TOKEN; without either a `home`, as `--home` names it.

        `executor`: what measures for a home; default Ray where it is installed.  Raises SpecError, StoreError, ExtraMissing.
        """
        if url is not None and home is not None:
            raise SpecError("a farm is at an address or of a home: name one of the two")
        address = url if url is not None else "" if home is not None else os.environ.get(SERVER, "")
        if address:
            self._way = _served(address, os.environ.get(TOKEN, "") if token is None else token)
        else:
            self._way = _of_home(Path(home) if home is not None else None, executor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its store or its connections."""
        self._way.close()

    def devices(self) -> Sequence[DeviceAnswer]:
        """All registered devices, by name."""
        return self._way.devices()

    def submit(self, job: JobLike, *, priority: int = 0, retry_failed: bool = False) -> SubmittedJob:
        """A job file, a checked job, or what a job file would say.  The same again is the same job, and nothing is doubled."""
        return self._way.submit(job, priority=priority, retry_failed=retry_failed)

    def job(self, name: str) -> SubmittedJob:
        """One that the farm has, by its id, the start of it, or its name (the newest)."""
        return self._way.job(name)

    def measure(
        self,
        model: str | Path,
        *,
        device: str,
        backend: str = "onnxruntime",
        threads: int = 1,
        rounds: int | None = None,
        progress: bool | Told = False,
    ) -> Entry:
        """One model file on one device: its entry, with estimate, interval and flags.  What was measured before is not again.

        Raises the MeasurementError that it failed with; SpecError where nothing could be measured, with why.
        """
        path = Path(model).absolute()
        with plain(path, "a model file") as file:
            digest = sha256_of(file)
        asked: dict[str, object] = {
            "name": f"measure-{digest[:12]}",
            "workloads": [{"models": [str(path)]}],
            "devices": [device],
            "backends": [{"runtime": backend, "threads": threads}],
        }
        if rounds is not None:
            asked["sampling"] = {"rounds": rounds, "stop": "rounds"}
        job = self.submit(asked)
        ended = job.wait(progress)
        entry = next((one for one in job.table().entries if one.device == device), None)
        if entry is None:
            raise SpecError(f"{path.name} was not measured on {device}: {_why(job, ended)}")
        if entry.kind == "failed":
            raise _failure(entry)
        return entry

    def compare(
        self,
        job: JobLike,
        *,
        a: Mapping[str, object],
        b: Mapping[str, object],
        margin: float = 0.03,
        rounds: int = ROUNDS,
        target: float | None = None,
        progress: bool | Told = False,
    ) -> Comparison:
        """The job's workloads on two sides, in pairs of rounds: `verdict` says whether B is slower by more than the margin.

        `a`, `b`: of device, runtime, threads, precision and provider, what differs from the job.  The same sides again go on.
        Raises NothingCompared where too little was quiet, WrongState where somebody ended it.
        """
        if not 0 <= margin < 1:
            raise SpecError(f"margin: {margin!r} is not between 0 and 1; 0.03 is 3 %")
        sides = Sides(SideRequest.of(a, where="a"), SideRequest.of(b, where="b"), margin, rounds, target)
        return self._way.compare(job, sides, progress)

    def validate(
        self,
        job: str,
        *,
        networks: int = 20,
        calibrate: int = 0,
        seed: int = 0,
        space: str | None = None,
        progress: bool | Told = False,
    ) -> Validated:
        """Measure networks that a job's table has never seen: how well it predicts them, and from then on the table says so.

        `job`: its id, the start of it, or its name; `space`: a name or a file, where the job has not just one.
        """
        wanted = Study(job=self.job(job).id, networks=networks, calibrate=calibrate, seed=seed)
        return self._way.validate(wanted, space, progress)

    def predict(
        self,
        table: LatencyTable | str,
        archs: Sequence[str | Sequence[int]],
        *,
        space: str,
        device: str | None = None,
        backend: str | None = None,
    ) -> list[Prediction]:
        """What networks take: by a table, or by that of a job.  `archs`: in the encoding of the space, or as choices;
        the space is known or a file.

        Raises MissingEntry where the table lacks an operator of one; SpecError where several devices or backends are in it.
        """
        found = table if isinstance(table, LatencyTable) else self.job(table).table(device=device, backend=backend)
        if device is not None or backend is not None:
            found = found.select(device=device, backend=backend)
        known = load_space(space, Path.cwd())
        return [found.predict(known, known.parse(arch) if isinstance(arch, str) else arch) for arch in archs]


def _served(address: str, token: str) -> Way:
    with extras():
        from lutfarm.client.remote_farm import RemoteFarm
        from lutfarm.farm.served_way import ServedWay
    return ServedWay(RemoteFarm(address, token))


def _of_home(home: Path | None, executor: ExecutorKind | None) -> Way:
    with extras(), ExitStack() as opened:
        from lutfarm.farm.home_way import HomeWay
        from lutfarm.store import open_store

        place = find_home(home)
        store = opened.enter_context(open_store(place.path, begun=True))
        kind: ExecutorKind = "ray" if importlib.util.find_spec("ray") is not None else "local"
        opened.pop_all()
        return HomeWay(store, place, executor or kind)


def _why(job: SubmittedJob, ended: JobStanding) -> str:
    said = [ended.reason, *(f"{row.device}: {row.waits_for} {row.reason}".strip() for row in job.why())]
    return "; ".join(filter(None, said)) or f"the job {job.id} is {ended.state}"


def _failure(entry: Entry) -> Exception:
    error = from_wire(entry.failure_code or MeasurementError.__name__, entry.failure_detail or "")
    error.add_note(entry.key)
    return error
