"""What was measured on this host and is not known to be stored: on its disk, until whoever ordered it says that it is.

Each result is a file of its own: the SHA-256 of what follows, and the result as JSON as it goes to the store.  It has its name
only once it is whole.  It outlives any process; what a power cut took before the disk had it is measured again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lutfarm.records.ordered import Ordered
from lutfarm_jobs.atomic_files import DRAFT, replacing
from lutfarm_jobs.errors import SpecError, TransferFailed
from lutfarm_jobs.run import Run

MOST_MIB, OLDEST_DAYS = "LUTFARM_SPOOL_MIB", "LUTFARM_SPOOL_DAYS"
"""In the environment of what measures: how much waits at most, and for how long."""
FREE_BYTES = 64 << 20  # that the disk must have before a round begins
MIB, DAY_S = 1 << 20, 86_400.0
DAMAGED = ".damaged"


@dataclass(frozen=True, slots=True)
class Kept:
    """A result as it lies in a spool; `farm_id`: whose tokens the order's may be compared with."""

    farm_id: str
    unit: str
    ordered: Ordered
    run: Run


_FORM: TypeAdapter[Kept] = TypeAdapter(Kept)


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """Of one host, whichever farms it measured for."""

    most_bytes: int = 1024 * MIB
    oldest_s: float = 30 * DAY_S

    @classmethod
    def from_environment(cls) -> SpoolLimits:
        """Raises SpecError."""
        mib, days = (_number(name, default) for name, default in ((MOST_MIB, 1024), (OLDEST_DAYS, 30)))
        return cls(mib * MIB, days * DAY_S)


class Spool:
    """In a folder that only this user can enter: `FARM/DEVICE/RESULT`, each named by a digest.  Used from several threads."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        """Forgets what is too old."""
        self._folder, self._limits = folder, limits
        self._remarks: deque[str] = deque()
        self._sweep(time.time())

    def require_room(self) -> None:
        """Raises TransferFailed where what a round yields could not be kept."""
        try:
            _make_private(self._folder)
            used_bytes = sum(_size(file) for file in self._folder.glob("*/*/*"))
            free_bytes = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise TransferFailed(f"{self._folder} can't be used, so nothing is measured here: {error}") from error
        if used_bytes >= self._limits.most_bytes:
            raise TransferFailed(
                f"{self._folder}: {used_bytes / MIB:.0f} MiB of results wait for their farm to store them, and {MOST_MIB} is "
                f"{self._limits.most_bytes / MIB:.0f}, so nothing more is measured here; measure on each of their devices from "
                "their farm, which fetches them, or remove the folders of farms that are gone"
            )
        if free_bytes < FREE_BYTES:
            raise TransferFailed(
                f"{self._folder}: the disk has {free_bytes / MIB:.0f} MiB left, and results may need {FREE_BYTES / MIB:.0f}, so "
                "nothing is measured here; make room"
            )

    def keep(self, kept: Kept) -> None:
        """Until it is forgotten.  What can't be written is remarked: it goes to the farm all the same."""
        content = _FORM.dump_json(kept)
        folder = self._folder_of(kept.farm_id, kept.unit)
        try:
            for each in (self._folder, folder.parent, folder):
                _make_private(each)
            with replacing(folder / _named(kept.run.id), mode=0o600, durable=False) as file:
                file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        except OSError as error:
            self._remarks.append(f"{folder}: a result could not be kept on the disk until it is stored: {error}")

    def left(self, farm_id: str, unit: str) -> list[Kept]:
        """What waits of a device, that of older leases first.  What is damaged is set aside and remarked."""
        found = [kept for file in self._files(farm_id, unit) if (kept := self._read(file, farm_id, unit)) is not None]
        return sorted(found, key=lambda kept: (kept.ordered.token, kept.run.started_s, kept.run.id))

    def forget(self, unit: str, run_ids: Collection[str]) -> None:
        """These were stored, or never can be.  Those that are not there are no error."""
        with suppress(OSError):
            for farm in self._folder.iterdir():
                for run_id in run_ids:
                    (farm / _named(unit) / _named(run_id)).unlink(missing_ok=True)

    def remarks(self) -> Iterator[str]:
        """What was odd since the last time, for whoever reads logs."""
        while self._remarks:
            with suppress(IndexError):  # another thread was first
                yield self._remarks.popleft()

    def _folder_of(self, farm_id: str, unit: str) -> Path:
        return self._folder / _named(farm_id) / _named(unit)

    def _files(self, farm_id: str, unit: str) -> list[Path]:
        try:
            files = sorted(self._folder_of(farm_id, unit).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            self._remarks.append(f"{self._folder} can't be read: {error}")
            return []
        return [file for file in files if file.suffix != DAMAGED]

    def _read(self, file: Path, farm_id: str, unit: str) -> Kept | None:
        try:
            kept = None if file.name.startswith(DRAFT) else _read(file.read_bytes())
            if kept is not None and (kept.farm_id, kept.unit, kept.run.device) == (farm_id, unit, unit):
                return kept
            aside = file.with_name(file.name.removeprefix(".") + DAMAGED)
            file.replace(aside)
            self._remarks.append(f"{aside}: a result of {unit} is damaged or was not written whole; it is not used")
        except OSError as error:
            self._remarks.append(f"{file}: a result of {unit} can't be read: {error}")
        return None

    def _sweep(self, now_s: float) -> None:
        removed, oldest_s = 0, now_s - self._limits.oldest_s
        for file in self._folder.glob("*/*/*"):
            with suppress(OSError):
                if file.lstat().st_mtime < oldest_s:
                    file.unlink()
                    removed += 1
        if removed:
            days = self._limits.oldest_s / DAY_S
            self._remarks.append(f"{self._folder}: {removed} results that no farm fetched in {days:.0f} days were removed")


def _read(content: bytes) -> Kept | None:
    """None where it is not what was written."""
    digest, _, written = content.partition(b"\n")
    if hashlib.sha256(written).hexdigest().encode() != digest:
        return None
    try:
        return _FORM.validate_json(written)
    except ValidationError:
        return None


def _named(name: str) -> str:
    """A file's name for what may hold any character."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:  # forgotten in this moment
        return 0


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise SpecError(f"{name} is {text[:40]!r}: set it to a whole number from 1 to 999999, or leave it out")
    return int(text)
