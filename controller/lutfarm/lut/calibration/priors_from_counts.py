"""What operators take without any measurement of their own: a line through what they compute, fitted to networks.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from lutfarm.lut.calibration.design import Estimate
from lutfarm.lut.schema.calibration_record import Observed
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs import operators
from lutfarm_jobs.graphs.graph import Graph

LEAST_SHARE = 5e-5  # of the median network, for an operator: none takes nothing


@lru_cache(maxsize=100_000)
def work(key: str) -> tuple[float, float, float]:
    """Of one operator: itself, its multiply-accumulates, the bytes that it writes.  Raises SpecError for no key."""
    operator = operators.parse(key)
    graph = Graph("work", operator.input_shape)
    operator.append(graph, graph.input)
    written = sum(4 * int(np.prod(node.output.shape)) for node in graph.nodes)
    return 1.0, float(operator.multiply_accumulates), float(written)


def analytic(keys: Iterable[str], networks: Sequence[Observed]) -> dict[str, Estimate]:
    """The operators' times by the line that fits the networks best, relative to each; none of its three parts negative.

    The line is the middle of what is believed of it: a part may as well be off by what would make it alone the median
    network, and by that all operators are wrong together.  The networks say the rest (universal kriging: Rasmussen and
    Williams 2006, section 2.7).
    """
    rows = np.array([np.sum([count * np.array(work(key)) for key, count in one.composition.items()], axis=0) for one in networks])
    measured_ns: FloatArray = np.array([one.measured for one in networks])
    scale = rows.max(axis=0)
    line = _not_negative(rows / scale / measured_ns[:, None])
    least_ns = LEAST_SHARE * float(np.median(measured_ns))
    unsure = np.median(measured_ns) / np.median(rows, axis=0)
    estimates: dict[str, Estimate] = {}
    for key in keys:
        own = np.array(work(key))
        estimate_ns = max(least_ns, float(own @ (line / scale)))
        estimates[key] = Estimate(estimate_ns, common=tuple((own * unsure / estimate_ns).tolist()))
    return estimates


def _not_negative(rows: FloatArray) -> FloatArray:
    """Coefficients, none negative, whose sum comes closest to 1 in each row: the best of all choices of columns."""
    best, least = np.zeros(rows.shape[1]), float(len(rows))
    for size in range(1, rows.shape[1] + 1):
        for columns in combinations(range(rows.shape[1]), size):
            part = rows[:, list(columns)]
            coefficients = np.linalg.lstsq(part, np.ones(len(rows)), rcond=None)[0]
            misfit = float(np.square(part @ coefficients - 1).sum())
            if (coefficients >= 0).all() and misfit < least:
                best, least = np.zeros(rows.shape[1]), misfit
                best[list(columns)] = coefficients
    return best
