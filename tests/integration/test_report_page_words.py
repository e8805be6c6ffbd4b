"""Words of the whole page that depend on more than one section, and where it can be written."""

from __future__ import annotations

import errno
import html
import re
from pathlib import Path

import pytest
from tests.report_kit import ORT, TFLITE, failed, measured, table, validation, zero

from lutfarm.lut import LatencyTable
from lutfarm.lut.verdict import table_verdict
from lutfarm.report import render_report
from lutfarm.report.page import MEANING, policy, report_html
from lutfarm_jobs.errors import StoreUnwritable


def page(of: LatencyTable, *, title: str = "A table", target: float | None = 0.02) -> str:
    return report_html(of, title=title, target=target)


def words(page: str) -> str:
    """Without elements, in one line."""
    without = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", without)))


def cells(page: str) -> set[str]:
    return {words(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)}


def test_the_page_opens_with_the_verdict_of_its_table() -> None:
    of = table(measured("conv", 1e5), zero("identity"))
    for target in (0.02, None):
        sentence = table_verdict(of, target=target).sentence
        assert sentence
        assert sentence.replace("+-", "±") in words(page(of, target=target))


def test_what_an_estimate_means_is_said_on_every_page() -> None:
    assert MEANING in words(page(table()))
    assert MEANING in words(page(table(measured("conv", 1e5))))


def test_the_precision_that_was_asked_for_is_told_only_where_it_is_known() -> None:
    asked, unknown = (words(page(table(measured("conv", 1e5)), target=target)) for target in (0.035, None))
    assert "± 3.5 %" in asked
    assert "± 3.5 %" not in unknown
    assert "None" not in unknown


def test_the_title_is_the_tables_and_steers_nothing() -> None:
    made = page(table(), title="<b>fbnet</b> & co\x1b\u202e")
    assert made.count("<title>&lt;b&gt;fbnet&lt;/b&gt; &amp; co��</title>") == 1
    assert "<b>fbnet" not in made


def test_a_long_name_breaks_after_its_parts_and_is_escaped_between_them() -> None:
    made = page(table(failed("conv_H56,<i>_|K3", "OutOfMemory", "asked for 40 GB")))
    assert "conv_<wbr>H56,<wbr>&lt;i&gt;_<wbr>|<wbr>K3" in made
    assert "<i>_" not in made


def test_every_failure_has_its_code_and_every_line_of_its_reason() -> None:
    text = words(page(table(failed("a", "WorkloadFailed", "signal 11\nlast words"), failed("b", "OutOfMemory", "40 GB"))))
    assert "0 measured entries, 2 failed" in text
    for part in ("WorkloadFailed", "signal 11", "last words", "OutOfMemory", "40 GB"):
        assert part in text, part
    assert "No entry failed" not in text


def test_places_have_a_column_only_where_there_are_several() -> None:
    one = page(table(measured("conv", 1e5), measured("pool", 2e5)))
    two = page(table(measured("conv", 1e5), measured("conv", 2e5, backend=TFLITE)))
    assert {ORT, TFLITE} <= cells(two)
    assert ORT not in cells(one)


def test_networks_of_all_spaces_are_counted_together() -> None:
    both = (validation(3), validation(2, seed=5, space="ofa"))
    text = words(page(table(measured("conv", 1e5), validations=both)))
    assert "5 whole networks predicted and measured" in text
    assert f"{ORT} on this-machine, fbnet-224" in text
    assert f"{ORT} on this-machine, ofa" in text


def test_one_network_is_one() -> None:
    assert "1 whole network predicted and measured" in words(page(table(measured("conv", 1e5), validations=(validation(1),))))


def test_how_predictions_are_made_follows_the_statistics_of_the_entries() -> None:
    made = words(page(table(measured("conv", 1e5, statistic="solved"), composition="in_network", validations=(validation(2),))))
    assert "solved from whole random networks" in made
    assert "own profiler; a prediction" not in made


def test_the_hash_of_what_is_shown_is_shown() -> None:
    one, other = table(measured("conv", 1e5)), table(measured("conv", 1.01e5))
    assert one.content_hash != other.content_hash
    assert one.content_hash in page(one)
    assert one.content_hash not in page(other)


@pytest.mark.parametrize("script", ["", "alert(1)", "öäü 名"])
def test_a_policy_names_one_script_and_forbids_all_else(script: str) -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in policy(script).split(";"))
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules["script-src"])
    assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'",) * 3
    assert rules["img-src"] == "data:"
    assert policy(script) != policy(f"{script} ")


def test_a_policy_holds_the_hash_that_browsers_compute() -> None:
    """Of `alert('Hello, world.');`, as CSP Level 3 gives it."""
    assert "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='" in policy("alert('Hello, world.');")


def test_a_page_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    for estimate_ns in (1e5, 2e5):
        render_report(table(measured("conv", estimate_ns)), out=out)
    text = words(out.read_text(encoding="utf-8"))
    assert "200.0 µs" in text
    assert "100.0 µs" not in text
    assert "Latency table" in text  # its title where none was given


def test_letters_of_every_kind_are_written(tmp_path: Path) -> None:
    """What a manifest says may hold halves of characters, which no encoding has."""
    out = tmp_path / "report.html"
    render_report(table(measured("名_é", 1e5), job_id="j\ud800"), out=out, title="模型 \udfff")
    text = words(out.read_bytes().decode())
    for part in ("名_é", "j�", "模型 �"):
        assert part in text


def test_a_folder_in_the_way_is_named_with_what_the_system_says(tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable, match=re.escape(f"{tmp_path}: Is a directory")):
        render_report(table(measured("conv", 1e5)), out=tmp_path)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    out = tmp_path / "report.html"
    with pytest.raises(StoreUnwritable, match=re.escape(f"can't be written to {out}: No space left on device")):
        render_report(table(measured("conv", 1e5)), out=out)
