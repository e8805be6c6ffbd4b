from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report_kit import ORT, TFLITE, failed, failing, manifest, measured, operators, table, validation, zero
from typer.testing import CliRunner

from lutfarm.cli import app
from lutfarm.lut import Refusal, save
from lutfarm.report import render_report
from lutfarm.report.page import policy, report_html
from lutfarm_jobs.errors import StoreUnwritable

HOSTILE = "file:</style></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}.onnx@12ab"


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._inside):
            self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(*entries: object, rows: int = 0, title: str = "A table", **changes: object) -> str:
    if rows:
        changes = {"validations": (validation(rows),)} | changes
    return report_html(table(*entries, **changes), title=title, target=0.02)  # type: ignore[arg-type]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", Reader(html).text)


def test_a_report_says_what_the_table_holds() -> None:
    entries = [
        *operators(112),
        *operators(18, backend=TFLITE),
        zero("identity_a"),
        zero("identity_b"),
        failed("conv_big", "OutOfMemory", "asked for 40 GB"),
    ]
    text = plain(page(*entries, rows=20, title="fbnet-224 on this-machine"))

    assert "130 measured entries, 1 failed, 2 zero by structure; 20 whole networks predicted and measured" in text
    assert "conv_big" in text
    assert "OutOfMemory asked for 40 GB" in text
    assert "2 entries are zero by definition" in text
    assert "over rounds (fresh processes) of one sitting: another day’s sitting may differ by more than this" in text
    assert table(*entries).content_hash in text
    assert all(entry.workload.removeprefix("operator:") in text for entry in entries)


def test_validation_is_shown_whatever_it_is() -> None:
    text = plain(page(measured("conv", 1e5), rows=20))

    for figure in (
        "networks that the table had never seen2020",
        "MAPE) mean of |predicted − measured| / measured6.0 %0.40 %",
        "measured+6.0 %",
        "within 5 % share of the networks25 %100 %",
        "within 10 % share of the networks95 %100 %",
        "unrelated0.926",
        "Spearman’s ρ of the ranks0.98",
        "prediction’s 95 % interval5 %–",
        "Noise ceiling: the same figures between two halves",
        "measured by job demo-networks-0-1234567890 of 2025-11-23 23:20 UTC",
        "Intervals of the measured networks: 95 %, over rounds (fresh processes) of one sitting",
    ):
        assert figure in text, figure
    assert "calibrated" not in text
    assert "left out" not in text
    assert "never validated" not in text


def test_calibration_is_shown_before_and_after() -> None:
    html = page(measured("conv", 1e5), validations=(validation(20, calibrated=True),))
    text = plain(html)

    assert "sum of entriescalibrated on 8 othersnoise ceiling" in text
    assert "MAPE) mean of |predicted − measured| / measured5.5 %0.83 %0.40 %" in text
    assert "prediction’s 95 % interval5 %100 %–" in text
    assert "Hollow: the plain sums, before calibration" in text
    assert html.count('data-label="calibrated"') == 20


def test_networks_that_failed_are_named_with_their_reason() -> None:
    found = failing(validation(5, ceiling=None, anchor_shift=0.031), "OutOfMemory: 40 GB", "not measured yet")
    text = plain(page(measured("conv", 1e5), validations=(found,)))

    assert "2 networks are left out" in text
    assert "lost-0: OutOfMemory: 40 GB" in text
    assert "No noise ceiling: too few rounds" in text
    assert "took +3.1 % beside the table’s first sitting" in text


def test_each_place_says_what_is_known_of_it() -> None:
    entries = [*operators(4), *operators(3, backend=TFLITE)]
    here, there = validation(5), validation(4, seed=3, backend=TFLITE)
    one, both = page(*entries, validations=(here,)), page(*entries, validations=(there, here))

    assert f"<b>{TFLITE} on this-machine</b>: never validated" in one
    assert "never validated" not in both
    assert both.count('aria-label="Plot: predicted against measured"') == 2
    assert "9 whole networks predicted and measured" in plain(both)


def test_networks_that_do_not_count_say_why() -> None:
    refused = Refusal("this-machine", TFLITE, "tiny", "runtime: '1' (the table) and '<b>' (its networks)")
    entries = [*operators(4), *operators(3, backend=TFLITE)]
    both, alone = page(*entries, validations=(validation(5),), refusals=(refused,)), page(*entries[4:], refusals=(refused,))
    for text in (plain(both), plain(alone)):
        assert f"{TFLITE} on this-machine: {refused.describe()}." in text
    assert "no whole network was measured" not in alone
    unread = failing(validation(5, anchor_refusal="the anchors differ"), "OutOfMemory: 40 GB")
    noted = plain(page(measured("conv", 1e5), validations=(unread,)))
    assert "from the table’s first can’t be said: the anchors differ." in noted


def test_a_table_that_nobody_held_against_networks_says_so() -> None:
    text = plain(page(measured("conv", 1e5)))

    assert "0 zero by structure; never validated against whole networks." in text
    assert "Never validated: no whole network was measured for this table" in text


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "0 measured entries, 0 failed, 0 zero by structure; never validated"),
        ([zero("identity")], "Nothing was measured."),
        ([failed("conv", "WorkloadTimeout", "no end")], "Nothing was measured."),
        ([measured("conv", 1e5)], "1 measured entry, 0 failed"),
        ([measured("conv", 1e5)], "No entry failed."),
        ([measured("network:fbnet-224:0,1", 2e7, statistic="p10_swept")], "Nothing was measured."),
        ([measured("conv", 1e5, low=0.0)], "0.000 – 101.0 µs"),
    ],
)
def test_small_and_odd_tables_have_a_report(entries: list[object], said: str) -> None:
    assert said in plain(page(*entries))


def test_what_was_planned_and_never_measured_is_listed() -> None:
    text = plain(page(measured("conv", 1e5), missing=("latency/operator:conv_lost/desk/x/b1-steady",)))

    assert "1 planned measurement has neither a run nor a failure" in text
    assert "conv_lost" in text


def test_names_from_outside_are_text_wherever_they_come() -> None:
    networks = [replace(n, arch=f"{n.arch}{HOSTILE}") for n in validation(3).networks]
    found = replace(validation(3), device=HOSTILE, space=HOSTILE, study_id=HOSTILE, scope=HOSTILE, networks=tuple(networks))
    html = page(
        measured(HOSTILE, 1e5, device=HOSTILE, flags=("<i>flag</i>",)),
        measured("conv", 2e5),
        failed("conv_b", HOSTILE, HOSTILE),
        title=HOSTILE,
        job_id=HOSTILE,
        space=HOSTILE,
        composition=HOSTILE,
        validations=(failing(found, HOSTILE),),
    )
    read = Reader(html)

    assert len(read.having("script")) == 1
    assert len(read.having("style")) == 1
    assert not read.having("img")
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]
    assert read.text.count(HOSTILE) >= 16
    assert "49.onnx" not in html


def test_a_page_refers_to_nothing_outside_itself() -> None:
    html = page(*operators(20), rows=5)
    read = Reader(html)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    targets = [
        value or ""
        for _, attributes in read.elements
        for name, value in attributes.items()
        if name in ("href", "src", "xlink:href", "action", "data", "srcset", "poster")
    ]

    assert targets
    assert [t for t in targets if not t.startswith(("#", "data:"))] == []
    assert {t[1:] for t in targets if t.startswith("#")} <= set(ids)
    assert len(ids) == len(set(ids))
    assert not re.search(r"url\((?!#)|@import|https?:", html)


def test_the_policy_lets_the_pages_own_script_run_and_no_other() -> None:
    read = Reader(page(measured("conv", 1e5)))
    said = [m["content"] for m in read.having("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    script = re.findall(r"<script>(.*)</script>", page(measured("conv", 1e5)), re.DOTALL)

    assert said == [policy(script[0])]
    assert "default-src 'none'" in str(said[0])
    assert policy("other") != said[0]


def test_everything_has_a_name_for_those_who_do_not_see_it() -> None:
    read = Reader(page(*operators(3), rows=3))
    described = {a.get("for") for a in read.having("label")}

    assert read.having("html") == [{"lang": "en"}]
    assert all(a.get("aria-label") for a in read.having("div") if a.get("tabindex"))
    assert all(a.get("role") == "img" or a.get("aria-hidden") for a in read.having("svg"))
    assert {a["id"] for a in read.having("input")} <= described
    assert all(a.get("scope") in ("col", "row") for a in read.having("th"))


def test_the_same_table_gives_the_same_bytes() -> None:
    entries = operators(10)

    assert page(*entries, rows=3) == page(*entries, rows=3)


def test_several_backends_have_a_plot_each() -> None:
    html = page(*operators(4), *operators(3, backend=TFLITE))

    assert html.count('aria-label="Plot: latency by operator"') == 2
    assert [h for h in (ORT, TFLITE) if f"<h3>{h} on this-machine</h3>" not in html] == []


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_apart_in_light_dark_and_print() -> None:
    html = page(measured("conv", 1e5))
    themes = [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r":root\{([^}]*)\}", html)]

    assert len(themes) == 3
    for theme in themes:
        for text in ("ink", "muted", "link"):
            assert contrast(theme[text], theme["page"]) >= 4.5, (text, theme)
            assert contrast(theme[text], theme["panel"]) >= 4.5, (text, theme)
        for mark in ("precise", "provisional", "wide", "disturbed"):
            assert contrast(theme[mark], theme["page"]) >= 4.5, (mark, theme)


def test_a_report_is_written_as_one_file(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    render_report(table(*operators(3)), out=out, title="t")

    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    out = tmp_path / "no" / "report.html"
    with pytest.raises(StoreUnwritable, match=re.escape(str(out))):
        render_report(table(measured("conv", 1e5)), out=out)


def test_a_manifest_can_be_empty() -> None:
    assert "made with" in plain(page(measured("conv", 1e5), devices=(), backends=(), protocol={}))
    assert manifest().job_id in plain(page(measured("conv", 1e5)))


def test_a_report_is_never_written_over_a_table_or_a_job_file(tmp_path: Path) -> None:
    source, job = tmp_path / "t.json", tmp_path / "job.yaml"
    save(table(measured("conv", 1e5)), source)
    job.write_text("name: mine\n")
    before = source.read_bytes()
    for out in (source, job, tmp_path / "new.txt"):
        result = CliRunner().invoke(app, ["lut", "report", str(source), "--out", str(out)])
        assert result.exit_code == 2
        assert "a report is a page; name it FILE.html" in result.output
    assert source.read_bytes() == before
    assert job.read_text() == "name: mine\n"
    assert not (tmp_path / "new.txt").exists()
