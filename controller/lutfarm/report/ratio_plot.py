"""A picture of two tables beside each other, as a file."""
# matplotlib's own annotations leave parameters of Axes methods unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lutfarm.lut.diff import Change
from lutfarm.report.log_axis import set_log_axis
from lutfarm.report.wording import shortened
from lutfarm_jobs.errors import SpecError, StoreUnwritable

SUFFIXES = (".svg", ".png", ".pdf")
# Blue and orange stay apart for every kind of colour blindness, and in grey; the markers tell them apart, too.
COLOURS: dict[str, str] = {
    "ink": "#16181d",
    "muted": "#5a6070",
    "line": "#dcdfe5",
    "slower": "#b35900",
    "faster": "#1a62c5",
    "no difference": "#8a909e",
    "flip": "#c0261c",
}
MARKERS: dict[Change, str] = {"slower": "^", "faster": "v", "no difference": "o"}
LABELLED_ROWS = 60
ROW_PX = 15
LABEL_CHARACTERS = 62
DPI = 144


@dataclass(frozen=True, slots=True)
class RatioRow:
    """One workload: A's and B's latency, and B over A with its interval."""

    label: str
    a_estimate: float
    b_estimate: float
    ratio: float
    low: float
    high: float
    verdict: Change


@dataclass(frozen=True, slots=True)
class Labels:
    """What the picture says of the two sides, of their common ratio (None: not drawn) and its name, and of the intervals.

    `margin`: up to how much slower B may be, as a share; None where nobody asked.
    """

    a: str
    b: str
    middle: float | None
    middle_name: str
    confidence: float
    margin: float | None = None


def picture(rows: Sequence[RatioRow], flips: Sequence[tuple[int, int]], labels: Labels) -> Figure:
    """Ratios with intervals, largest on top; beside them B against A, with the pairs of rows in `flips` joined."""
    ranked = sorted(rows, key=lambda row: (row.ratio, row.label))
    labelled = len(ranked) <= LABELLED_ROWS
    height_px = 130 + max(300, ROW_PX * len(ranked) if labelled else 520)
    longest = max(len(shortened(row.label, LABEL_CHARACTERS)) for row in ranked) if labelled else 0
    left_px, width_px = 40 + 5.4 * longest, 1180
    drawn = Figure(figsize=(width_px / 72, height_px / 72), dpi=72, facecolor="white")
    left, right = drawn.subplots(
        1,
        2,
        width_ratios=(5, 4),
        gridspec_kw={
            "left": left_px / width_px,
            "right": 0.985,
            "bottom": 62 / height_px,
            "top": 1 - 52 / height_px,
            "wspace": 0.2,
        },
    )
    _ratios(left, ranked, labels, labelled=labelled)
    _scatter(right, rows, flips, labels)
    drawn.suptitle(
        "\n".join((_plain(f"A: {labels.a}"), _plain(f"B: {labels.b}"))),
        x=12 / width_px,
        y=1 - 8 / height_px,
        ha="left",
        va="top",
        fontsize=10,
        color=COLOURS["ink"],
    )
    return drawn


def save_picture(drawn: Figure, path: Path) -> None:
    """Write .svg, .png or .pdf.  Raises SpecError for another extension, StoreUnwritable where it can't be written."""
    check_picture(path)
    buffer = io.BytesIO()
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with mpl.rc_context({"svg.hashsalt": "lutfarm", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        drawn.savefig(buffer, format=path.suffix.lower().removeprefix("."), dpi=DPI, metadata=metadata)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise StoreUnwritable(f"{path}: can't be written: {error.strerror or error}") from error


def check_picture(path: Path) -> None:
    """Raises SpecError for a file that no picture can be written to."""
    if path.suffix.lower() not in SUFFIXES:
        raise SpecError(f"{path}: a picture is written as {', '.join(SUFFIXES)}")


def _ratios(axes: Axes, ranked: Sequence[RatioRow], labels: Labels, *, labelled: bool) -> None:
    _dress(axes)
    for verdict, marker in MARKERS.items():
        rows = [(height, row) for height, row in enumerate(ranked) if row.verdict == verdict]
        if not rows:
            continue
        heights, colour = [height for height, _ in rows], COLOURS[verdict]
        axes.hlines(
            heights,
            [100 * (row.low - 1) for _, row in rows],
            [100 * (row.high - 1) for _, row in rows],
            color=colour,
            linewidth=1.8,
        )
        axes.plot(
            [100 * (row.ratio - 1) for _, row in rows],
            heights,
            linestyle="none",
            marker=marker,
            markersize=5 if labelled else 3,
            color=colour,
            label=f"{verdict} ({len(rows)})",
        )
    axes.axvline(0, color=COLOURS["ink"], linewidth=1)
    if labels.margin is not None:
        axes.axvspan(
            0, 100 * labels.margin, facecolor=COLOURS["line"], alpha=0.8, zorder=0, label=f"margin {100 * labels.margin:.3g} %"
        )
    if labels.middle is not None:
        axes.axvline(
            100 * (labels.middle - 1),
            color=COLOURS["muted"],
            linewidth=1,
            linestyle="--",
            label=f"{labels.middle_name} {100 * (labels.middle - 1):+.1f} %",
        )
    axes.set_ylim(-0.8, len(ranked) - 0.2)
    axes.set_yticks(range(len(ranked)) if labelled else [])
    if labelled:
        for text in axes.set_yticklabels([shortened(row.label, LABEL_CHARACTERS) for row in ranked]):
            text.set_parse_math(False)  # a $ in a name is a $
            text.set_fontsize(9)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"B against A, % (bars: {100 * labels.confidence:g} % intervals)", color=COLOURS["ink"])
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.9, fontsize=9, loc="lower right", labelcolor=COLOURS["ink"])


def _scatter(axes: Axes, rows: Sequence[RatioRow], flips: Sequence[tuple[int, int]], labels: Labels) -> None:
    _dress(axes)
    values = [value for row in rows for value in (row.a_estimate, row.b_estimate)]
    low, high = min(values) / 1.2, max(values) * 1.2
    axes.plot((low, high), (low, high), color=COLOURS["ink"], linewidth=1, label="B = A")
    if labels.middle is not None:
        axes.plot(
            (low, high),
            (low * labels.middle, high * labels.middle),
            color=COLOURS["muted"],
            linewidth=1,
            linestyle="--",
            label=labels.middle_name,
        )
    for position, (one, other) in enumerate(flips):
        axes.plot(
            [rows[one].a_estimate, rows[other].a_estimate],
            [rows[one].b_estimate, rows[other].b_estimate],
            color=COLOURS["flip"],
            linewidth=1.2,
            label="order reversed beyond noise" if position == 0 else "_",
        )
    for verdict, marker in MARKERS.items():
        of_verdict = [row for row in rows if row.verdict == verdict]
        axes.plot(
            [row.a_estimate for row in of_verdict],
            [row.b_estimate for row in of_verdict],
            linestyle="none",
            marker=marker,
            markersize=4.5,
            color=COLOURS[verdict],
            label="_",
        )
    set_log_axis(axes, "x", low, high, sparse_from=500)
    set_log_axis(axes, "y", low, high, sparse_from=500)
    axes.set_xlabel("A", color=COLOURS["ink"])
    axes.set_ylabel("B", color=COLOURS["ink"])
    axes.legend(frameon=False, fontsize=9, loc="upper left", labelcolor=COLOURS["ink"])


def _dress(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=COLOURS["line"], linewidth=0.6)
    axes.tick_params(colors=COLOURS["muted"], labelcolor=COLOURS["ink"], labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(COLOURS["muted"])


def _plain(text: str) -> str:
    """One line, in which a $ is a $."""
    return shortened(text, 170).replace("$", r"\$")
