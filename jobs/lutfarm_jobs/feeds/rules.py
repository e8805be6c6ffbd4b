"""What an input holds when nobody says so.  Pure; docs/jobs.md has the list."""

from __future__ import annotations

from lutfarm_jobs.measurement import Feed, Fill
from lutfarm_jobs.models.info import FLOATING, ModelInput


def assumed(declared: ModelInput, shape: tuple[int, ...]) -> Feed:
    """By type, role and name."""
    del shape
    if declared.dtype in FLOATING:
        return Feed(declared.name, Fill("normal"), "normal")
    if declared.dtype == "bool":
        return Feed(declared.name, Fill("constant", (False,)), "false")
    return Feed(declared.name, Fill("constant", (0,)), "0")
