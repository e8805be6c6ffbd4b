"""What a measurement's key says of the process that it was made in."""

from __future__ import annotations

import re

from lutfarm_jobs.measurement import BUILT_BATCH, BUILT_PRECISION


def place_of(key: str) -> tuple[str, str]:
    """What a measurement's process runs under, from its key: that of the backend without precision, the conditions without batch.

    Precision and batch are of what is run; the process, its cores and clocks are the same whatever it is.
    """
    backend, conditions = key.split("/")[-2:]
    return "-".join(backend.split("-")[:3]), re.sub(r"^b[0-9]+-", "", conditions)


def canary_place(key: str) -> tuple[str, str]:
    """The keys of backend and conditions of the canary beside a measurement, from its key: that is made by lutfarm always."""
    process, conditions = place_of(key)
    return f"{process}-{BUILT_PRECISION}", f"b{BUILT_BATCH}-{conditions}"
