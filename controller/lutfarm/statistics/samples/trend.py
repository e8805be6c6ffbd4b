"""Whether a series of process-level estimates moved in one direction.  Pure.

The test of H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945) 245-259: Kendall's rank correlation with time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, combinations

MOST_EXACT = 33  # beyond it the normal distribution is as good


def trend_p_value(values: Sequence[float]) -> float:
    """How likely a series without a trend is at least as ordered, in either direction; 1.0 where nothing varies.

    Counted over all orders; by the normal distribution, its variance corrected for ties, where values are equal or many.
    """
    rising = sum((after > before) - (after < before) for before, after in combinations(values, 2))
    count = len(values)
    if count <= MOST_EXACT and len(set(values)) == count:
        pairs = count * (count - 1) // 2
        fewer = (pairs - abs(rising)) // 2  # pairs against the direction
        return min(1.0, 2 * sum(_orders(count)[: fewer + 1]) / math.factorial(count))
    ties = [values.count(value) for value in set(values)]
    variance = (_weight(count) - sum(map(_weight, ties))) / 18
    return math.erfc(abs(rising) / math.sqrt(2 * variance)) if variance > 0 else 1.0


def _weight(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


@lru_cache(maxsize=MOST_EXACT)
def _orders(count: int) -> tuple[int, ...]:
    """How many orders of so many values have 0, 1, ... pairs out of order."""
    if count < 2:
        return (1,)
    before = _orders(count - 1)
    reached = [0, *accumulate((*before, *(0,) * (count - 1)))]  # the newest value may be out of order with 0 ... count - 1 others
    return tuple(reached[k + 1] - reached[max(0, k + 1 - count)] for k in range(len(reached) - 1))
