"""Tables of jobs, derived when they are asked for: a few are kept for a moment, since the next question is of the same one."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from lutfarm.lut import Figures, LatencyTable, Prediction
from lutfarm.results.validated_table import validated_table
from lutfarm.server.turnstile import Turnstile
from lutfarm.store.interface import Store, job_called
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import space_of
from lutfarm_jobs.job_file.workloads import SpaceWorkload
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import stored_job

KEPT_S = 10.0  # what other jobs measured meanwhile may say more of the canary; the table says when it was made
MOST_KEPT = 4
MOST_SPACES = 16


@dataclass(frozen=True, slots=True)
class Part:
    """Which table of a job: with entries of a pool of devices, of one device, of one backend."""

    pool: str | None = None
    device: str | None = None
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class Predicted:
    """Architectures as they were given, with what they take, and how such predictions held up."""

    space: str
    table: LatencyTable
    figures: Figures | None
    predictions: Sequence[tuple[str, Prediction]]


@dataclass(slots=True)
class Tables:
    """Of one store."""

    store: Store
    _turnstile: Turnstile = field(default_factory=lambda: Turnstile("making tables", patience_s=120.0))
    _kept: OrderedDict[tuple[str, int, Part], tuple[float, LatencyTable]] = field(
        default_factory=OrderedDict[tuple[str, int, Part], tuple[float, LatencyTable]]
    )
    _spaces: OrderedDict[tuple[str, str | None], Space] = field(default_factory=OrderedDict[tuple[str, str | None], Space])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _predicting: threading.Lock = field(default_factory=threading.Lock)  # a table keeps what it made for a space

    def of(self, name: str, part: Part) -> LatencyTable:
        """By a job's id, its name or the start of its id.  Raises SpecError, NotFound, ServerBusy."""
        job, counts = job_called(self.store, name)
        key = job.id, counts.runs, part
        with self._turnstile.turn():
            found = self._fresh(key)
            if found is None:
                made_s = time.monotonic()
                found = validated_table(self.store, job.id, pool=part.pool, device=part.device, backend=part.backend)
                self._keep(key, made_s, found)
        return found

    def predict(
        self, name: str, part: Part, archs: Sequence[str], *, space: str | None, allow_partial: bool, uncalibrated: bool
    ) -> Predicted:
        """`space`: a known one's name, or as the job names it; None: the job's only one.  Raises SpecError, MissingEntry."""
        found = self._space(name, space)
        parsed = [found.parse(text) for text in archs]
        table = self.of(name, part)
        with self._turnstile.turn(), self._predicting:
            made = [
                (found.format(arch), table.predict(found, arch, allow_partial=allow_partial, uncalibrated=uncalibrated))
                for arch in parsed
            ]
        return Predicted(found.name, table, table.figures(found.name, uncalibrated=uncalibrated), made)

    def _space(self, name: str, space: str | None) -> Space:
        """The same object again where it is asked for again: a table keeps what it made for it."""
        key = job_called(self.store, name)[0].id, space
        with self._lock:
            known = self._spaces.get(key)
        if known is None:
            known = space_named(self.store, *key)
        with self._lock:
            self._spaces[key] = known
            while len(self._spaces) > MOST_SPACES:
                self._spaces.popitem(last=False)
        return known

    def _fresh(self, key: tuple[str, int, Part]) -> LatencyTable | None:
        with self._lock:
            made_s, found = self._kept.get(key, (float("-inf"), None))
            return found if time.monotonic() - made_s < KEPT_S else None

    def _keep(self, key: tuple[str, int, Part], made_s: float, table: LatencyTable) -> None:
        with self._lock:
            self._kept[key] = made_s, table
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


def space_named(store: Store, name: str, space: str | None) -> Space:
    """A space by name, or by what a job carries of its file; no file is read here.  Raises SpecError."""
    job, _ = job_called(store, name)
    definitions = {w.space: w.definition for w in stored_job(job.spec_json).workloads if isinstance(w, SpaceWorkload)}
    if space is None and len(definitions) != 1:
        named = f"it has {', '.join(definitions)}" if definitions else "it names none"
        raise SpecError(f"space: job {job.name} has no one space ({named}); say which")
    text = next(iter(definitions)) if space is None else space
    definition = definitions.get(text)
    return spaces.load(text) if definition is None else space_of(text, definition)
