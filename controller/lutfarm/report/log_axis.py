"""A log axis of latencies with ticks that can be read."""
# matplotlib's own annotations leave parameters of Axes methods unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from math import log10
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from lutfarm.report.wording import tick

ENOUGH = 3  # ticks: of fewer, one can't tell that the axis is a log one


def log_ticks(low: float, high: float, *, sparse_from: float) -> list[float]:
    """1, 2, 5 of each decade that lie between both ends, only 1 where these are `sparse_from` times apart or further.

    An axis that is too short to hold enough of them, as two latencies that differ by a tenth have it, has equal steps.
    """
    steps = (1, 2, 5) if high / low < sparse_from else (1,)
    decades = range(int(log10(low)) - 1, int(log10(high)) + 2)
    ticks = _within([step * 10.0**decade for decade in decades for step in steps], low, high)
    return ticks if len(ticks) >= ENOUGH else _within(_equal_steps(low, high), low, high)


def set_log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float, *, sparse_from: float) -> None:
    """Make it one from `low` to `high`, both above zero, in ns."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(FixedLocator(log_ticks(low, high, sparse_from=sparse_from)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(tick_words))
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)


def tick_words(value_ns: float, _position: object) -> str:
    """As matplotlib asks for a tick's label."""
    return tick(value_ns)


def _equal_steps(low: float, high: float) -> list[float]:
    return [float(value) for value in MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)]


def _within(ticks: list[float], low: float, high: float) -> list[float]:
    return [value for value in ticks if low <= value <= high]
