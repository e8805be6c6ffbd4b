"""A figure in a page: its own ids, the page's colours, nothing that steers the page, and words for those who don't see it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from lutfarm.report.svg import COLOURS, figure, inline_svg


def drawn(name: str = "plot", title: str = "Latencies", label: str = "conv_3x3") -> str:
    made = figure(300, 100)
    axes = made.subplots()
    axes.plot([0, 1], [0, 1], color=COLOURS["precise"], marker="o")
    axes.set_title(label, color=COLOURS["ink"])
    return inline_svg(made, name=name, title=title, description="rising", least_px=120)


def test_it_is_one_element_without_name_spaces_style_sheets_or_scripts() -> None:
    root = ElementTree.fromstring(drawn())
    assert root.tag == "svg"
    tags = {element.tag for element in root.iter()}
    assert not any("}" in tag or ":" in tag for tag in tags)
    assert not {"style", "metadata", "script", "foreignObject"} & tags
    assert not any("xmlns" in key for element in root.iter() for key in element.attrib)


def test_it_is_no_wider_than_drawn_and_says_what_it_shows() -> None:
    root = ElementTree.fromstring(drawn(title="a <b> & c"))
    assert root.attrib["style"] == "min-width: 120px; max-width: 300px"
    assert root.attrib["role"] == "img"
    told = {element.attrib.get("id"): element.text for element in root}
    title, description = root.attrib["aria-labelledby"].split()
    assert (told[title], told[description]) == ("a <b> & c", "rising")


def test_each_figure_of_a_page_has_ids_of_its_own_and_refers_to_them_alone() -> None:
    one, other = (drawn(name) for name in ("one", "other"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert not ids[0] & ids[1]
    for text, own in zip((one, other), ids, strict=True):
        used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
        assert used
        assert used <= own


def test_colours_are_those_of_the_page() -> None:
    text = drawn()
    assert "var(--precise)" in text
    assert "var(--ink)" in text
    assert not any(stand_in in text for stand_in in COLOURS.values())


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", 'a" onload="x', "a & b", "ö 名"])
def test_a_name_is_text_whatever_it_says(label: str) -> None:
    root = ElementTree.fromstring(drawn(label=label))
    assert label in {text for element in root.iter("text") if (text := "".join(element.itertext()))}
    assert not any(key.startswith("on") for element in root.iter() for key in element.attrib)


def test_the_same_figure_is_the_same_text() -> None:
    assert drawn() == drawn()
