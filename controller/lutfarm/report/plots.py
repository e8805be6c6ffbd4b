"""The plots of the report, as inline SVG."""
# matplotlib's own annotations leave parameters of Axes methods unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from lutfarm.lut.grades import GRADES, Grade
from lutfarm.report.log_axis import set_log_axis, tick_words
from lutfarm.report.rows import Spot
from lutfarm.report.svg import COLOURS, figure, inline_svg
from lutfarm.report.wording import latency, shortened

WIDTH_PX = 1000
ROW_PX = 14
LABEL_CHARACTERS = 66
CHARACTER_PX = 5.4  # of the label font, on average and a little more
LABELLED_ROWS = 160  # above this many, rows are too thin for names
LABEL_FONT_PX = 9
SMALL_PX = 10
WIDEST_PERCENT = 25.0
MARKERS: dict[Grade, str] = {"precise": "o", "provisional": "D", "wide": "s", "disturbed": "^"}


@dataclass(frozen=True, slots=True)
class Point:
    """One measured entry; without an interval where too few rounds measured it."""

    label: str
    estimate: float
    low: float | None
    high: float | None
    grade: Grade

    @property
    def bounds_ns(self) -> tuple[float, float]:
        """The interval, or the estimate twice; above zero, which a log axis has no place for."""
        low_ns = self.estimate if self.low is None else self.low
        return (max(low_ns, self.estimate / 100), self.estimate if self.high is None else self.high)


def latency_plot(points: Sequence[Point], *, name: str, title: str, target: float | None) -> str:
    """Latency of each workload, slowest on top, log axis; beside it the interval in percent of the estimate.

    `target`: the relative half-width that was asked for, drawn as a band.
    """
    ranked = sorted(points, key=lambda point: (point.estimate, point.label))
    labelled = len(ranked) <= LABELLED_ROWS
    longest = max(len(shortened(point.label, LABEL_CHARACTERS)) for point in ranked) if labelled else 0
    left_px = 24 + longest * CHARACTER_PX
    both_ends = labelled and len(ranked) > 30
    top_px = 34 if both_ends else 6
    height_px = 44 + top_px + (ROW_PX * len(ranked) if labelled else 560)
    drawn = figure(WIDTH_PX, height_px)
    inner = {"bottom": 44 / height_px, "top": 1 - top_px / height_px}
    left, right = drawn.subplots(
        1,
        2,
        sharey=True,
        width_ratios=(5, 2),
        gridspec_kw={"left": left_px / WIDTH_PX, "right": 1 - 14 / WIDTH_PX, "wspace": 0.05, **inner},
    )
    edge = _edge_percent(ranked, target)
    for grade in GRADES:
        rows = [(row, point) for row, point in enumerate(ranked) if point.grade == grade]
        _draw_rows(left, right, rows, grade, size=4.5 if labelled else 2.5)
    _dress(left)
    _dress(right)
    bounds_ns = [bound for point in ranked for bound in point.bounds_ns]
    set_log_axis(left, "x", min(bounds_ns) / 1.15, max(bounds_ns) * 1.15, sparse_from=2000)
    left.set_xlabel("latency (log scale)", color=COLOURS["ink"])
    right.set_xlabel("interval, % of the estimate", color=COLOURS["ink"])
    right.set_xlim(-edge, edge)
    right.axvline(0, color=COLOURS["muted"], linewidth=0.8)
    if target is not None:
        right.axvspan(-100 * target, 100 * target, facecolor=COLOURS["precise"], alpha=0.14)
    left.set_ylim(-0.8, len(ranked) - 0.2)
    _name_rows(left, ranked if labelled else ())
    right.tick_params(axis="y", left=False, labelleft=False)
    for axes in (left, right):
        axes.tick_params(axis="x", top=both_ends, labeltop=both_ends)
    return inline_svg(drawn, name=name, title=title, description=_latency_words(ranked), least_px=760)


def _draw_rows(left: Axes, right: Axes, rows: Sequence[tuple[int, Point]], grade: Grade, *, size: float) -> None:
    if not rows:
        return
    colour = COLOURS[grade]
    heights = [row for row, _ in rows]
    lows, highs = zip(*(point.bounds_ns for _, point in rows), strict=True)
    estimates = [point.estimate for _, point in rows]
    left.hlines(heights, lows, highs, color=colour, linewidth=2)
    left.plot(
        estimates,
        heights,
        linestyle="none",
        marker=MARKERS[grade],
        markersize=size,
        markerfacecolor=colour,
        markeredgecolor=colour,
    )
    known = [(row, point) for row, point in rows if point.low is not None and point.high is not None]
    below = [100 * (point.bounds_ns[0] / point.estimate - 1) for _, point in known]
    above = [100 * (point.bounds_ns[1] / point.estimate - 1) for _, point in known]
    right.hlines([row for row, _ in known], below, above, color=colour, linewidth=2.2)
    right.plot(
        [0] * len(known),
        [row for row, _ in known],
        linestyle="none",
        marker=MARKERS[grade],
        markersize=size * 0.7,
        markerfacecolor=colour,
        markeredgecolor=colour,
    )


def _edge_percent(points: Sequence[Point], target: float | None) -> float:
    """Where the interval panel ends: all intervals, but not an outlier's that would hide the others."""
    widths = [100 * max(bound / point.estimate - 1, 1 - bound / point.estimate) for point in points for bound in point.bounds_ns]
    return min(WIDEST_PERCENT, max([100 * (target or 0.02) * 1.6, *(1.1 * width for width in widths)]))


def _name_rows(axes: Axes, points: Sequence[Point]) -> None:
    axes.set_yticks(range(len(points)))
    labels = axes.set_yticklabels([shortened(point.label, LABEL_CHARACTERS) for point in points])
    for label in labels:
        label.set_parse_math(False)  # a $ in a name is a $
        label.set_fontsize(LABEL_FONT_PX)
        label.set_color(COLOURS["ink"])
    axes.tick_params(axis="y", length=0)


def _latency_words(ranked: Sequence[Point]) -> str:
    fastest, slowest = ranked[0], ranked[-1]
    return (
        f"{len(ranked)} workloads, from {fastest.label} with {latency(fastest.estimate)} "
        f"to {slowest.label} with {latency(slowest.estimate)}. The table of entries holds every value."
    )


def prediction_plot(plain: Sequence[Spot], calibrated: Sequence[Spot], *, name: str, title: str) -> str:
    """Predicted against measured latency with both intervals and the identity; below it the error in percent.

    Where there are calibrated predictions, the plain sums stand behind them, hollow.
    """
    drawn = figure(600, 600)
    top, bottom = drawn.subplots(
        2,
        1,
        sharex=True,
        height_ratios=(3, 1),
        gridspec_kw={"left": 0.13, "right": 0.98, "top": 0.985, "bottom": 0.08, "hspace": 0.06},
    )
    for axes in (top, bottom):
        _dress(axes)
    every = [*plain, *calibrated]
    values = [ns for spot in every for ns in (spot.measured, spot.predicted)]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.06 * high
    ends = (max(0.0, low - margin), high + margin)
    top.plot(ends, ends, color=COLOURS["ink"], linewidth=1, label="predicted = measured")
    for factor in (0.9, 1.1):
        top.plot(
            ends,
            [factor * end for end in ends],
            color=COLOURS["muted"],
            linewidth=0.8,
            linestyle="--",
            label="10 % off" if factor < 1 else "_",
        )
    bottom.axhline(0, color=COLOURS["ink"], linewidth=1)
    _draw_spots(top, bottom, plain, "muted" if calibrated else "precise", label="sum of entries", hollow=bool(calibrated))
    if calibrated:
        _draw_spots(top, bottom, calibrated, "precise", label="calibrated", hollow=False)
    _limit_errors(bottom, every)
    legend = top.legend(frameon=False, loc="upper left", fontsize=SMALL_PX)
    for text in legend.get_texts():
        text.set_color(COLOURS["ink"])
    for axis in ("x", "y"):
        _plain_latency_axis(top, axis)
    top.set_xlim(*ends)
    top.set_ylim(*ends)
    top.set_ylabel("predicted latency", color=COLOURS["ink"])
    bottom.set_ylabel("error, %", color=COLOURS["ink"])
    bottom.set_xlabel("measured latency of the whole network", color=COLOURS["ink"])
    return inline_svg(drawn, name=name, title=title, description=_spot_words(plain, calibrated), least_px=460)


def _draw_spots(top: Axes, bottom: Axes, spots: Sequence[Spot], colour: str, *, label: str, hollow: bool) -> None:
    measured = [spot.measured for spot in spots]
    width = 0.9 if hollow else 1.3
    style: dict[str, Any] = {"fmt": "o", "markersize": 5, "color": COLOURS[colour], "elinewidth": width, "capsize": 0}
    style |= {"markerfacecolor": COLOURS["page"]} if hollow else {}
    top.errorbar(
        measured,
        [spot.predicted for spot in spots],
        label=label,
        xerr=_arms([(spot.measured, spot.measured_bounds) for spot in spots]),
        yerr=_arms([(spot.predicted, spot.predicted_bounds) for spot in spots]),
        **style,
    )
    bottom.errorbar(measured, [100 * spot.relative_error for spot in spots], yerr=_error_arms(spots), **style)


def _limit_errors(axes: Axes, spots: Sequence[Spot]) -> None:
    """An outlier must not flatten the others: beyond the edge it is a triangle there, with its figure."""
    errors = [100 * spot.relative_error for spot in spots]
    edge = _edge_of(errors)
    if max(map(abs, errors)) <= edge:
        return
    axes.set_ylim(-edge, edge)
    for spot, error in zip(spots, errors, strict=True):
        if abs(error) > edge:
            height = 0.9 * edge if error > 0 else -0.9 * edge
            axes.plot(
                [spot.measured],
                [height],
                linestyle="none",
                marker="^" if error > 0 else "v",
                markersize=6,
                color=COLOURS["disturbed"],
                clip_on=False,
            )
            axes.annotate(
                f"{error:+.3g} %",
                (spot.measured, height),
                xytext=(6, 0),
                textcoords="offset points",
                fontsize=SMALL_PX,
                va="center",
                color=COLOURS["ink"],
            )


def _edge_of(errors: Sequence[float]) -> float:
    """Four times the median error, at least 20 %: what lies further out is an outlier."""
    return max(20.0, 4 * median(map(abs, errors)))


def _spot_words(plain: Sequence[Spot], calibrated: Sequence[Spot]) -> str:
    measured = [spot.measured for spot in plain]
    errors = {
        name: [100 * spot.relative_error for spot in spots]
        for name, spots in (("errors", plain), ("calibrated", calibrated))
        if spots
    }
    said = "; ".join(f"{name} from {min(percent):+.1f} % to {max(percent):+.1f} %" for name, percent in errors.items())
    return (
        f"{len(plain)} networks, measured from {latency(min(measured))} to {latency(max(measured))}; {said}. "
        "The table of networks holds every value."
    )


def _arms(values: Sequence[tuple[float, tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """How far the intervals reach below and above, as errorbar wants it."""
    return ([max(0.0, middle - low) for middle, (low, _) in values], [max(0.0, high - middle) for middle, (_, high) in values])


def _error_arms(spots: Sequence[Spot]) -> tuple[list[float], list[float]]:
    """Both intervals combined, in percent: the ratio's relative half-widths add in quadrature."""
    below: list[float] = []
    above: list[float] = []
    for spot in spots:
        (low, high), (least, most) = spot.predicted_bounds, spot.measured_bounds
        ratio = 100 * spot.predicted / spot.measured
        below.append(ratio * hypot(1 - low / spot.predicted, most / spot.measured - 1))
        above.append(ratio * hypot(high / spot.predicted - 1, 1 - least / spot.measured))
    return below, above


def _dress(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=COLOURS["line"], linewidth=0.6)
    axes.tick_params(colors=COLOURS["muted"], labelcolor=COLOURS["ink"], labelsize=SMALL_PX)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(COLOURS["muted"])


def _plain_latency_axis(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(tick_words))
