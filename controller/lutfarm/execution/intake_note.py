"""What a farm does with a job that may end its whole process, written down beforehand: who starts the next one reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lutfarm_jobs.errors import FarmError

Doing = Literal["read", "built"]
FILE = "intake.json"
Taking = Callable[[str, Doing], AbstractContextManager[None]]
"""Around what is done with a job, by its id, that may end the process."""


def unnoted(_job_id: str, _doing: Doing) -> AbstractContextManager[None]:
    """Nobody starts another one."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Intake:
    """Its job was read and planned, or models for it were built."""

    job_id: str
    doing: Doing


@dataclass(frozen=True, slots=True)
class IntakeNote:
    """A small file; another process reads it after this one was killed, so it need not survive the machine."""

    path: Path

    @contextmanager
    def taking(self, job_id: str, doing: Doing) -> Generator[None]:
        """What may end the process.  A FarmError does not: it is the job's own."""
        self.path.write_text(json.dumps({"job": job_id, "doing": doing}))
        try:
            yield
        except FarmError:
            self.forget()
            raise
        self.forget()

    def left(self) -> Intake | None:
        """What is being done, or was when the process ended."""
        try:
            found: Any = json.loads(self.path.read_text())
            job_id, doing = found["job"], found["doing"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Intake(job_id, doing) if isinstance(job_id, str) and doing in get_args(Doing) else None

    def forget(self) -> None:
        """It was done."""
        self.path.unlink(missing_ok=True)
