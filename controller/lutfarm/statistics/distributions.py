"""What SciPy knows, imported when it is first needed: no command should start with up to two seconds of it."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# SciPy carries no types.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lutfarm.statistics.process import FloatArray


def student_quantile(df: float, probability: float) -> float:
    """The quantile of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def chi_squared_median(df: FloatArray) -> FloatArray:
    """The medians of chi-squared distributions, the shape of `df`."""
    from scipy.special import chdtri

    return chdtri(df, 0.5)


def kendall(
    first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray
) -> tuple[float | None, float]:
    """Kendall's tau-b and its two-sided p-value; (None, 1.0) where a side does not vary or has less than two values."""
    from scipy.stats import kendalltau

    return _finite(kendalltau(first, second)) if _varies(first, second) else (None, 1.0)


def spearman(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> float | None:
    """Spearman's rank correlation; None where a side does not vary or has fewer than two values."""
    from scipy.stats import spearmanr

    return _finite(spearmanr(first, second))[0] if _varies(first, second) else None


def _varies(*sides: Sequence[float] | FloatArray) -> bool:
    return all(len(side) > 1 and min(side) < max(side) for side in sides)


def _finite(found: Any) -> tuple[float | None, float]:
    statistic, p_value = float(found.statistic), float(found.pvalue)
    return (statistic if math.isfinite(statistic) else None), (p_value if math.isfinite(p_value) else 1.0)
