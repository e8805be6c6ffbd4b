"""Types that several parts of a job's file have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from lutfarm_jobs.runtimes import RUNTIMES
from lutfarm_runner.commands import LARGEST_SIZE

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Dimension = Annotated[int, Field(ge=0, le=LARGEST_SIZE)]


def _exactly(value: object) -> object:
    # YAML 1.1 reads `on`, `1e3` or 1.0 as other types; a count must be written as a whole number.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {value!r}")
    return value


Count = Annotated[int, BeforeValidator(_exactly)]


class Strict(BaseModel):
    """Nothing but its fields, and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_runtime(name: str) -> str:
    """The name.  Raises ValueError, with those that there are, for one that no runtime has."""
    if name not in RUNTIMES:
        raise ValueError(RUNTIMES.unknown(name))
    return name


RuntimeName = Annotated[str, AfterValidator(known_runtime)]
