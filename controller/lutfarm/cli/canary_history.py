"""The history of a canary's reference, for `lutfarm device show`."""

from __future__ import annotations

import time

from lutfarm.canary.history import Canary
from lutfarm.cli.output import latency, plain, print_rows, say

MOMENT = "%Y-%m-%d %H:%M:%S"


def facts(found: Canary) -> dict[str, object]:
    """One canary as JSON's own types."""
    return {
        "backend": found.backend_key, "conditions": found.conditions_key, "last_ratio": found.last_ratio,
        "recent": plain(found.recent), "epochs": plain(found.epochs),
    }


def show(found: Canary) -> None:
    """Its epochs, oldest first, and where it is now."""
    print_rows(
        ["since (UTC)", "reference", "rounds", "state", "why", "what was seen"],
        [[time.strftime(MOMENT, time.gmtime(epoch.since_s)), latency(epoch.reference_ns), epoch.rounds,
          "provisional" if epoch.provisional else "established", epoch.why, epoch.detail] for epoch in found.epochs],
        title=f"canary of {found.backend_key}, {found.conditions_key}",
    )
    if found.last_ratio is not None:
        near = f"; its last {found.recent.rounds} all at {found.recent.ratio:.2f} or further" if found.recent else ""
        say(f"the last round's level is {found.last_ratio:.2f} times the reference{near}")
