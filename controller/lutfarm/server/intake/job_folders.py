"""A job that somebody sends, with its files, as a folder of its own: what the command line finds beside a job file."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from lutfarm.server.intake.uploads import Uploads
from lutfarm_jobs.atomic_files import DRAFT, DRAFT_BYTES, STALE_S
from lutfarm_jobs.errors import SpecError, StoreUnwritable, WrongState
from lutfarm_jobs.job_file.named_files import require_name

JOB_FILE = "job.yaml"  # as it was sent
SPEC_FILE = "job.json"  # what is measured: of a comparison its two sides, of a validation the networks that were drawn
MOST_FILES = 10_000
MOST_NAMED = 5


def check_names(names: Mapping[str, str]) -> None:
    """Raises SpecError for names that can't be files of one folder."""
    if len(names) > MOST_FILES:
        raise SpecError(f"files: {len(names)} are too many; {MOST_FILES} is the most")
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        require_name(name)
        if name in (JOB_FILE, SPEC_FILE):
            raise SpecError(f"files: {name} is what the farm calls the job itself; give the file another name")
        if name in folders:
            raise SpecError(f"files: {name[:200]!r} is a file and a folder; give one of them another name")


@contextmanager
def drafted(folder: Path, text: str | None, files: Mapping[str, str], uploads: Uploads) -> Generator[Path]:
    """A folder with a job and its files, in `folder`; gone when the block ends, unless it was published.

    `text`: the job file, where there is one; `files`: by name the SHA-256.

    Raises SpecError, WrongState where files were not sent yet, StoreUnwritable.
    """
    check_names(files)
    missing = [f"{name} ({sha256})" for name, sha256 in files.items() if uploads.size(sha256) is None]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise WrongState(
            f"files were not sent yet, or too long ago: {', '.join(missing[:MOST_NAMED])}{more}; "
            "PUT each to /api/v1/files/SHA256, then send the job again"
        )
    draft = folder / f"{DRAFT}{secrets.token_hex(DRAFT_BYTES)}"
    try:
        draft.mkdir(parents=True, mode=0o700)
        if text is not None:
            (draft / JOB_FILE).write_text(text, encoding="utf-8")
        for name, sha256 in files.items():
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not uploads.copy_to(sha256, target):
                raise WrongState(f"{name} ({sha256}) went away meanwhile; send it again, then the job")
        yield draft
    except OSError as error:
        raise StoreUnwritable(f"the job's folder can't be written: {error.strerror}; the farm's operator has to look") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def told_by_names(folder: Path, *, of: str = "") -> Generator[None]:
    """Errors name files as the job does, not where this farm keeps them.  Raises SpecError of the same kind.

    `of`: the file that they are of, where they don't say it.
    """
    try:
        yield
    except SpecError as error:
        detail = (f"{of}: " if of else "") + error.detail.replace(f"{folder}/", "").replace(str(folder), "the job's folder")
        raise type(error)(detail) from error


def publish(draft: Path, target: Path) -> None:
    """The draft becomes the job's folder; one that was there is gone.  Raises StoreUnwritable."""
    try:
        if target.exists():
            old = target.with_name(f"{DRAFT}{secrets.token_hex(DRAFT_BYTES)}")
            target.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        draft.rename(target)
    except OSError as error:
        raise StoreUnwritable(f"{target.name}: can't be kept: {error.strerror}; the farm's operator has to look") from error


def tidy(folder: Path, known: Collection[str], now_s: float) -> None:
    """Remove what a killed server left half done and folders of jobs that were removed; none that is younger than an hour.

    `known`: the ids of all jobs.
    """
    for found in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # another request removed it
            if found.name not in known and found.stat().st_mtime < now_s - STALE_S:
                shutil.rmtree(found, ignore_errors=True)


def remove(target: Path) -> None:
    """A job's folder, where there is one."""
    shutil.rmtree(target, ignore_errors=True)
