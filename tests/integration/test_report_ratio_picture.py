"""The picture of two sides beside each other: what it draws, what it says, what it refuses to be written to."""
# matplotlib's own annotations leave what its getters return unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lutfarm.report.ratio_plot import (
    COLOURS,
    LABEL_CHARACTERS,
    LABELLED_ROWS,
    MARKERS,
    Labels,
    RatioRow,
    check_picture,
    picture,
    save_picture,
)
from lutfarm_jobs.errors import SpecError, StoreUnwritable

LABELS = Labels("desk, ort 1.29", "desk, ort 1.30", None, "overall", 0.95)
SVG = "{http://www.w3.org/2000/svg}"


def row(label: str, ratio: float, *, half: float = 0.01, a_ns: float = 1e6) -> RatioRow:
    low, high = ratio - half, ratio + half
    verdict = "slower" if low > 1 else "faster" if high < 1 else "no difference"
    return RatioRow(label, a_ns, a_ns * ratio, ratio, low, high, verdict)


SLOWER, FASTER, SAME = row("conv", 1.08, a_ns=2e6), row("pool", 0.9, a_ns=3e5), row("relu", 1.005, a_ns=4e4)
ROWS = (SAME, SLOWER, FASTER)


def drawn(*rows: RatioRow, flips: tuple[tuple[int, int], ...] = (), **changes: object) -> Figure:
    return picture(rows or ROWS, flips, replace(LABELS, **changes))  # type: ignore[arg-type]


def names(axes: Axes) -> list[str]:
    """Of the rows, from the bottom up."""
    return [text.get_text() for text in axes.get_yticklabels()]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def marks(axes: Axes) -> dict[str, tuple[str, list[tuple[float, float]]]]:
    """By marker: the colour, and where each stands."""
    return {
        str(line.get_marker()): (to_hex(line.get_color()), points(line))
        for line in axes.lines
        if line.get_linestyle() == "None" and points(line)
    }


def dashed(axes: Axes) -> list[list[tuple[float, float]]]:
    return [points(line) for line in axes.lines if line.get_linestyle() == "--"]


def shown_ticks(axes: Axes, which: str) -> list[str]:
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    return [axis.get_major_formatter()(value) for value in axis.get_majorticklocs() if low <= value <= high]


def bars(axes: Axes) -> dict[str, list[list[float]]]:
    """By colour: from, to and height of each interval."""
    return {
        to_hex(np.asarray(lines.get_edgecolor(), dtype=float)[0].tolist()): [
            [*segment[:, 0], segment[0, 1]] for segment in lines.get_segments()
        ]
        for lines in axes.collections
        if isinstance(lines, LineCollection)
    }


def test_the_largest_ratio_stands_on_top_and_equal_ones_go_by_name() -> None:
    left = drawn(row("b", 1.02), row("z", 0.9), row("a", 1.02), row("m", 1.5)).axes[0]
    assert names(left) == ["z", "a", "b", "m"]
    low, high = left.get_ylim()
    assert low < 0 < 3 < high


def test_rows_stand_the_same_whatever_order_they_come_in() -> None:
    one, other = drawn(*ROWS).axes[0], drawn(*reversed(ROWS)).axes[0]
    assert names(one) == names(other) == ["pool", "relu", "conv"]
    assert marks(one) == marks(other)


def test_each_verdict_has_its_colour_and_its_marker_in_both_halves() -> None:
    left, right = drawn().axes
    places = {"slower": (8.0, 2.0), "no difference": (0.5, 1.0), "faster": (-10.0, 0.0)}
    values = {"slower": (2e6, 2.16e6), "no difference": (4e4, 4.02e4), "faster": (3e5, 2.7e5)}
    for axes, expected in ((left, places), (right, values)):
        found = marks(axes)
        assert set(found) == set(MARKERS.values())
        for verdict, marker in MARKERS.items():
            colour, ((x, y),) = found[marker]
            assert colour == COLOURS[verdict]
            assert (x, y) == pytest.approx(expected[verdict])


def test_an_interval_is_drawn_from_end_to_end_at_its_row_and_in_its_colour() -> None:
    found = bars(drawn().axes[0])
    assert found[COLOURS["slower"]] == [pytest.approx([7.0, 9.0, 2.0])]
    assert found[COLOURS["no difference"]] == [pytest.approx([-0.5, 1.5, 1.0])]
    assert found[COLOURS["faster"]] == [pytest.approx([-11.0, -9.0, 0.0])]


def test_the_legend_counts_the_rows_of_each_verdict_and_leaves_out_what_none_has() -> None:
    assert legend(drawn(SLOWER, row("conv2", 1.2), FASTER).axes[0]) == ["slower (2)", "faster (1)"]
    assert legend(drawn(SAME).axes[0]) == ["no difference (1)"]


def test_colours_and_markers_tell_every_verdict_from_every_other() -> None:
    assert len(set(MARKERS.values())) == len({COLOURS[verdict] for verdict in MARKERS}) == 3


@pytest.mark.parametrize("margin", [0.03, 0.2])
def test_the_margin_reaches_from_no_difference_to_as_slow_as_B_may_be(margin: float) -> None:
    left = drawn(margin=margin).axes[0]
    (span,) = left.patches
    box = span.get_window_extent().transformed(left.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx((0.0, 100 * margin))
    assert f"margin {100 * margin:g} %" in legend(left)
    assert left.get_xlim()[1] >= 100 * margin  # all of it can be seen


def test_nothing_is_said_of_a_margin_that_nobody_asked_for() -> None:
    left = drawn().axes[0]
    assert not left.patches
    assert not [text for text in legend(left) if "margin" in text]


def test_the_common_ratio_is_a_dashed_line_in_both_halves() -> None:
    left, right = drawn(middle=1.04, middle_name="median").axes
    (line,) = dashed(left)
    assert [x for x, _ in line] == pytest.approx([4.0, 4.0])
    assert "median +4.0 %" in legend(left)
    (line,) = dashed(right)
    assert [y / x for x, y in line] == pytest.approx([1.04, 1.04])
    assert "median" in legend(right)


def test_a_common_ratio_below_one_is_a_minus() -> None:
    assert "overall -5.0 %" in legend(drawn(middle=0.95).axes[0])


def test_no_common_ratio_is_drawn_where_there_is_none() -> None:
    left, right = drawn(middle=None).axes
    assert dashed(left) == dashed(right) == []
    assert "overall" not in " ".join([*legend(left), *legend(right)])


def test_no_difference_and_the_diagonal_are_drawn_solid() -> None:
    left, right = drawn().axes
    (zero,) = [line for line in left.lines if line.get_linestyle() == "-"]
    assert list(np.asarray(zero.get_xdata())) == [0, 0]
    (diagonal,) = [line for line in right.lines if line.get_linestyle() == "-"]
    assert [x / y for x, y in points(diagonal)] == [1, 1]
    assert "B = A" in legend(right)


def test_the_axis_of_ratios_says_what_is_held_against_what_and_which_intervals_these_are() -> None:
    assert drawn(confidence=0.9).axes[0].get_xlabel() == "B against A, % (bars: 90 % intervals)"
    assert drawn(confidence=0.999).axes[0].get_xlabel() == "B against A, % (bars: 99.9 % intervals)"
    right = drawn().axes[1]
    assert (right.get_xlabel(), right.get_ylabel()) == ("A", "B")


def test_pairs_that_change_their_order_are_joined_by_their_place_in_what_was_given() -> None:
    right = drawn(*ROWS, flips=((0, 1), (2, 0))).axes[1]
    joined = [points(line) for line in right.lines if to_hex(line.get_color()) == COLOURS["flip"]]
    relu, conv, pool = ((row.a_estimate, row.b_estimate) for row in ROWS)
    assert joined == [[relu, conv], [pool, relu]]
    for joining in (right, drawn(*ROWS, flips=((0, 1),)).axes[1]):
        assert legend(joining).count("order reversed beyond noise") == 1
    assert not [text for text in legend(right) if text.startswith("_")]


def test_nothing_is_said_of_reversed_orders_where_there_are_none() -> None:
    assert legend(drawn().axes[1]) == ["B = A"]


@pytest.mark.parametrize(
    ("a_ns", "ticks"),
    [
        ((1e4, 2e5), ["10 µs", "20 µs", "50 µs", "100 µs", "200 µs"]),
        ((1e3, 1e7), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]),
        ((3.0e6, 3.1e6), ["2.5 ms", "3 ms", "3.5 ms"]),
        ((7.0, 7.0), ["6 ns", "6.5 ns", "7 ns", "7.5 ns", "8 ns"]),
    ],
)
def test_latencies_have_readable_ticks_on_both_axes_however_close_they_are(a_ns: tuple[float, float], ticks: list[str]) -> None:
    right = drawn(*(row(f"op{at}", 1.0, a_ns=ns) for at, ns in enumerate(a_ns))).axes[1]
    assert right.get_xscale() == right.get_yscale() == "log"
    assert shown_ticks(right, "x") == shown_ticks(right, "y") == ticks
    assert right.get_xlim() == right.get_ylim()  # so that the diagonal is one


def test_every_latency_lies_inside_the_frame() -> None:
    right = drawn(row("small", 0.5, a_ns=10.0), row("large", 3.0, a_ns=1e9)).axes[1]
    low, high = right.get_xlim()
    assert low < 5.0
    assert high > 3e9


def test_too_many_rows_have_no_names_and_are_all_drawn() -> None:
    rows = [row(f"op{at}", 1 + at / 1000, half=1e-6) for at in range(1, LABELLED_ROWS + 2)]
    named, unnamed = drawn(*rows[:-1]).axes[0], drawn(*rows).axes[0]
    assert len(names(named)) == LABELLED_ROWS
    assert names(unnamed) == []
    assert len(marks(unnamed)["^"][1]) == LABELLED_ROWS + 1
    assert legend(unnamed) == [f"slower ({LABELLED_ROWS + 1})"]


def test_a_picture_grows_with_its_names() -> None:
    few, many = (drawn(*(row(f"op{at}", 1.0 + at / 100) for at in range(count))) for count in (2, LABELLED_ROWS))
    assert many.get_figheight() > few.get_figheight()
    assert many.get_figwidth() == few.get_figwidth()


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("cost$5$", "cost$5$"),
        (r"a\$b $\frac{1}{0}$", r"a\$b $\frac{1}{0}$"),
        ("red\x1b[31m\u202eback\nline", "red�[31m�back�line"),
        ("<b>&amp;</b> ö 名", "<b>&amp;</b> ö 名"),
        ("x" * 200, "x" * 40 + "…" + "x" * 21),
    ],
)
def test_a_name_is_shown_as_it_stands_without_what_steers_the_text(tmp_path: Path, label: str, shown: str) -> None:
    out = tmp_path / "p.svg"
    save_picture(drawn(row(label, 1.1)), out)
    texts = ["".join(element.itertext()) for element in ElementTree.parse(out).iter(f"{SVG}text")]
    assert shown in texts
    assert len(shown) <= LABEL_CHARACTERS


def test_the_title_has_one_line_a_side_whatever_the_sides_are_called(tmp_path: Path) -> None:
    """A side that breaks its line could say what the other is."""
    made = drawn(a="fast\nB: the slow one", b="$x$ \x07" + "y" * 300)
    out = tmp_path / "p.svg"
    save_picture(made, out)
    texts = ["".join(element.itertext()) for element in ElementTree.parse(out).iter(f"{SVG}text")]
    assert "A: fast�B: the slow one" in texts
    (second,) = [text for text in texts if text.startswith("B: ")]
    assert second.startswith("B: $x$ �yyy")
    assert "…" in second
    assert len(second) == 170


@pytest.mark.parametrize(("name", "magic"), [("p.svg", b"<?xml"), ("P.SVG", b"<?xml"), ("p.Png", b"\x89PNG"), ("p.pdf", b"%PDF")])
def test_the_extension_says_what_is_written(tmp_path: Path, name: str, magic: bytes) -> None:
    save_picture(drawn(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_comparison_is_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "other"):
        save_picture(drawn(flips=((0, 1),), middle=1.02, margin=0.03), tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "other"))
    assert first == second
    assert not re.search(rb"20\d\d-\d\d-\d\d|CreationDate", first)  # nor when it was made


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_letters_that_the_font_lacks_are_no_reason_to_warn(tmp_path: Path, suffix: str) -> None:
    save_picture(drawn(row("名前 🚀 ملف", 1.1), a="模型", b="🚀"), tmp_path / f"p{suffix}")
    assert (tmp_path / f"p{suffix}").stat().st_size > 1000


@pytest.mark.parametrize("name", ["p.jpg", "p", ".svg", "p.svg.gz", "p.", "table.json"])
def test_what_is_no_picture_is_refused_and_never_written(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    for refusing in (lambda: check_picture(out), lambda: save_picture(drawn(), out)):
        with pytest.raises(SpecError, match=re.escape(f"{out}: a picture is written as .svg, .png, .pdf")):
            refusing()
    assert not out.exists()


@pytest.mark.parametrize("name", ["p.svg", "p.PNG", "a.b.pdf", "no/such/folder/p.svg"])
def test_a_picture_can_be_checked_before_anything_is_measured_and_writes_nothing(tmp_path: Path, name: str) -> None:
    check_picture(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "p.svg"
    folder.mkdir()
    for out, why in ((tmp_path / "none" / "p.svg", "No such file"), (folder, "Is a directory")):
        with pytest.raises(StoreUnwritable, match=re.escape(f"{out}: can't be written: {why}")):
            save_picture(drawn(), out)


def test_a_picture_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "p.svg"
    out.write_text("x" * 10_000_000)
    save_picture(drawn(), out)
    assert ElementTree.parse(out).getroot().tag == f"{SVG}svg"
