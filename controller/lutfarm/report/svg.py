"""From a matplotlib figure to an inline SVG whose colours follow the page, and that says what it shows."""
# matplotlib's annotations leave some parameters unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from lutfarm.report.wording import printable

# A figure is drawn in these stand-ins; the page's style sheet gives each its light and its dark colour.
COLOURS: Mapping[str, str] = {
    "ink": "#010101",
    "muted": "#020202",
    "line": "#030303",
    "precise": "#040404",
    "provisional": "#050505",
    "wide": "#060606",
    "disturbed": "#070707",
    "page": "#080808",
}
_SVG = "{http://www.w3.org/2000/svg}"
_IDS = re.compile(r"#(?=[A-Za-z_])")
_FAMILY = re.compile(r"font: (.*?)'[^;]*sans-serif")


def figure(width_px: float, height_px: float) -> Figure:
    """An empty figure in which one point is one CSS pixel."""
    return Figure(figsize=(width_px / 72, height_px / 72), dpi=72, facecolor="none")


def inline_svg(drawn: Figure, *, name: str, title: str, description: str, least_px: int) -> str:
    """The figure as an `svg` element that is at most as wide as drawn, and at least `least_px`.

    `name` keeps its ids apart from those of other figures of the page.
    """
    buffer = io.BytesIO()
    # The salt makes the ids the same in every run; "none" keeps text as text, in the reader's own fonts.
    with mpl.rc_context({"svg.hashsalt": "lutfarm", "svg.fonttype": "none"}), warnings.catch_warnings():
        # Names may have letters that the layout's font lacks; the reader's browser draws them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 - written by matplotlib the line before
    _cleaned(root, name)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        "style": f"min-width: {least_px}px; max-width: {drawn.get_figwidth() * 72:.0f}px",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        element.text = printable(text)
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _cleaned(root: ElementTree.Element, name: str) -> None:
    """In place: no name spaces (HTML needs none), no metadata or style sheet, ids of their own, the page's colours."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")) or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib = {key: _attribute(key, value, name) for key, value in attributes.items()}


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" or value.startswith("url(#"):
        return _IDS.sub(f"#{name}-", value)
    if key == "style":
        for colour, stand_in in COLOURS.items():
            value = value.replace(stand_in, f"var(--{colour})")
        return _FAMILY.sub(r"font: \1sans-serif", value)
    return value
