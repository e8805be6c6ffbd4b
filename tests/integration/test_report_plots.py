from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfarm.lut.grades import GRADES
from lutfarm.report.plots import LABELLED_ROWS, Point, latency_plot, prediction_plot
from lutfarm.report.ratio_plot import Labels, RatioRow, picture
from lutfarm.report.rows import Spot
from lutfarm.report.svg import COLOURS

HOSTILE = '<script>alert(1)</script>"\' &amp; $\\frac{1}{0}$ url(#x) id="y" ]]>'


def points(count: int) -> list[Point]:
    return [
        Point(f"operator-{i}", 1e4 * 1.05**i, 0.99e4 * 1.05**i, 1.02e4 * 1.05**i, GRADES[i % len(GRADES)]) for i in range(count)
    ]


def networks(count: int) -> list[Spot]:
    return [
        Spot(1e6 * (i + 1.1), 1e6 * (i + 1), (1e6 * (i + 1), 1e6 * (i + 1.2)), (1e6 * (i + 1), 1e6 * (i + 1)))
        for i in range(count)
    ]


def latency_svg(drawn: list[Point], **changes: object) -> str:
    arguments = {"name": "p", "title": "Latency", "target": 0.02} | changes
    return latency_plot(drawn, **arguments)  # type: ignore[arg-type]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_every_workload_is_named_slowest_on_top() -> None:
    svg = latency_svg(points(112))
    rows = [element for element in ElementTree.fromstring(svg).iter("text") if (element.text or "").startswith("op")]
    ranked = sorted(rows, key=lambda element: float(element.get("y", "nan")))

    assert [element.text for element in ranked] == [f"operator-{i}" for i in reversed(range(112))]
    assert {"100 µs", "1 ms"} <= set(texts(svg))


@pytest.mark.parametrize("count", [1, 2, 40, LABELLED_ROWS + 1])
def test_a_plot_of_any_size_can_be_drawn(count: int) -> None:
    svg = latency_svg([Point(f"o{i}", 1e3 + i, None, None, "wide") for i in range(count)])

    assert sum(text.startswith("o") for text in texts(svg)) == (count if count <= LABELLED_ROWS else 0)


def test_the_same_table_gives_the_same_bytes() -> None:
    assert latency_svg(points(20)) == latency_svg(points(20))
    once, again = (prediction_plot(networks(5), networks(5), name="n", title="t") for _ in range(2))
    assert once == again


def test_names_from_outside_are_text_and_nothing_else() -> None:
    svg = latency_svg([Point(HOSTILE, 1e5, 9e4, 1.1e5, "precise")], title=HOSTILE)
    root = ElementTree.fromstring(svg)

    assert root.findtext("title") == HOSTILE
    assert any(text.startswith("<script>alert(1)</script>") and text.endswith("]]>") for text in texts(svg))
    assert "<script" not in svg
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "g",
        "path",
        "defs",
        "use",
        "text",
        "clipPath",
        "rect",
    }


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=12, deadline=None)
def test_any_name_gives_well_formed_xml(name: str) -> None:
    root = ElementTree.fromstring(latency_svg([Point(name, 1e5, 9e4, 1.1e5, "wide")]))

    assert root.tag == "svg"


@pytest.mark.parametrize("kind", ["latency", "prediction"])
def test_an_svg_is_inline_and_has_the_pages_colours(kind: str) -> None:
    latency = kind == "latency"
    svg = latency_svg(points(3), name="a") if latency else prediction_plot(networks(3), networks(2), name="a", title="t")
    root = ElementTree.fromstring(svg)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    referred = re.findall(r"(?:url\(|href=\")#([^\")]+)", svg)

    assert len(ids) == len(set(ids))
    assert all(str(name).startswith("a-") for name in ids)
    assert referred
    assert set(referred) <= set(ids)
    assert not [stand_in for stand_in in COLOURS.values() if stand_in in svg]
    assert "var(--ink)" in svg
    assert "http" not in svg
    assert "style>" not in svg
    assert root.get("role") == "img"
    assert set(root.get("aria-labelledby", "").split()) <= set(ids)
    assert root.findtext("desc")


def test_two_plots_of_one_page_share_no_id() -> None:
    found = [re.findall(r'\bid="([^"]+)"', latency_svg(points(3), name=name)) for name in ("a", "b")]

    assert found[0]
    assert not set(found[0]) & set(found[1])


def test_the_band_is_there_only_where_a_target_is() -> None:
    with_target = latency_svg(points(3), target=0.02)
    without = latency_svg(points(3), target=None)

    assert with_target.count("opacity: 0.14") == 1
    assert "opacity: 0.14" not in without


def test_the_prediction_plot_says_the_range_of_errors() -> None:
    description = ElementTree.fromstring(prediction_plot(networks(2), [], name="n", title="t")).findtext("desc")

    assert description is not None
    assert "2 networks" in description
    assert "+5.0 % to +10.0 %" in description


@pytest.mark.parametrize("count", [1, 20])
def test_predictions_without_intervals_can_be_drawn(count: int) -> None:
    rows = [Spot(2e6, 2e6, (2e6, 2e6), (2e6, 2e6)) for _ in range(count)]

    assert ElementTree.fromstring(prediction_plot(rows, [], name="n", title="t")).tag == "svg"


def test_sums_stand_behind_calibrated_predictions_only_where_there_are_some() -> None:
    plain = prediction_plot(networks(3), [], name="n", title="t")
    both = prediction_plot(networks(3), networks(3), name="n", title="t")

    assert "calibrated" not in texts(plain)
    assert {"sum of entries", "calibrated"} <= set(texts(both))
    assert "calibrated from +3.3 % to +10.0 %" in both
    assert "var(--page)" in both
    assert "var(--page)" not in plain


def test_an_outlier_does_not_flatten_the_other_errors() -> None:
    """Errors of some 10 % and one of 4,632 %: the panel ends near the others, and says how far out the one lies."""
    wild = Spot(48e6, 1e6, (40e6, 50e6), (1e6, 1e6))
    svg = prediction_plot([*networks(6), wild], [], name="n", title="t")
    assert "+4.7e+03 %" in svg
    ticks = [float(found.replace("\u2212", "-")) for found in re.findall(r">([\u2212-]?\d+)</text>", svg)]
    assert max(map(abs, ticks)) < 100
    assert "%</text>" not in prediction_plot(networks(6), [], name="n", title="t").replace("error, %</text>", "")


def test_the_picture_of_a_comparison_shows_the_margin() -> None:
    rows = [RatioRow("conv", 1e6, 1.02e6, 1.02, 1.01, 1.03, "slower")]
    for margin, shown in ((None, []), (0.03, ["margin 3 %"])):
        legend = picture(rows, (), Labels("a", "b", 1.02, "overall", 0.95, margin)).axes[0].get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts() if "margin" in text.get_text()] == shown
