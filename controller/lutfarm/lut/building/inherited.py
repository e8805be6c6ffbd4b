"""Which flags of measured networks hold of what is told from all of them together.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from lutfarm.lut.grades import PROVISIONAL
from lutfarm.statistics.estimates.flags import BUSY

OF_THE_DEVICE = PROVISIONAL | {"throttled"}  # one network shows it of all that were measured beside it
NOT_THEIRS = BUSY | {"converged", "not_precise"}  # of an interval that is another; which runs were busy is judged run by run


def inherited(sources: Sequence[Collection[str]]) -> tuple[str, ...]:
    """By network its flags: those of the device as soon as one has them, the others where at least half of all do.

    Of many networks some drift or are preempted by chance; that says nothing of the others.
    """
    counts = Counter(flag for flags in sources for flag in set(flags))
    return tuple(
        sorted(
            flag
            for flag, count in counts.items()
            if flag not in NOT_THEIRS and (flag in OF_THE_DEVICE or 2 * count >= len(sources))
        )
    )
