from __future__ import annotations

import pytest
from tests.report_kit import ORT, TFLITE, UNIT, failed, measured, zero

from lutfarm.report import entry_section
from lutfarm.report.wording import FLAG_WORDS, UNKNOWN_FLAG
from lutfarm.statistics.estimates.flags import Flag
from lutfarm_jobs.measurement import NOTES


def test_a_measured_entry_is_printed_with_its_interval() -> None:
    shown = entry_section.entry_row(measured("conv_K3", 12_300.0, share=0.02, slices_rejected=7))

    assert (shown.name, shown.latency, shown.interval) == ("conv_K3", "12.30 µs", "12.05 – 12.55 µs")
    assert (shown.half_width, shown.rounds, shown.iterations, shown.rejected) == ("2.0 %", "5", "4213", "7")
    assert (shown.sort_latency, shown.sort_half_width) == ("12300.0", "0.020000")
    assert not shown.failure


@pytest.mark.parametrize(
    ("entry", "latency", "sort"),
    [(zero("identity"), "0, by structure", "0.0"), (failed("conv", "OutOfMemory", "asked for 40 GB"), "failed", "")],
)
def test_what_was_not_measured_has_neither_number_nor_interval(entry: object, latency: str, sort: str) -> None:
    shown = entry_section.entry_row(entry)  # type: ignore[arg-type]

    assert (shown.latency, shown.interval, shown.half_width) == (latency, "–", "–")
    assert (shown.sort_latency, shown.sort_half_width) == (sort, "")


def test_a_failure_keeps_its_lines_and_nothing_that_steers_text() -> None:
    shown = entry_section.entry_row(failed("conv", "WorkloadFailed", "signal 11\nlast\x1b[31m words\u202e"))

    assert shown.failure == "WorkloadFailed"
    assert shown.reason == "signal 11\nlast�[31m words�"


@pytest.mark.parametrize(
    ("key", "name"),
    [("operator:conv_K3", "conv_K3"), ("file:a.onnx@12", "file:a.onnx@12"), ("network:fbnet:0,1", "network:fbnet:0,1")],
)
def test_operators_go_by_their_name_alone(key: str, name: str) -> None:
    assert entry_section.workload_name(key) == name


def test_a_place_names_only_what_varies() -> None:
    one, other = measured("a", 1e5), measured("a", 1e5, backend=TFLITE)
    elsewhere = measured("a", 1e5, device="desk")

    assert [row.place for row in entry_section.entry_rows([one])] == [""]
    assert [row.place for row in entry_section.entry_rows([one, other])] == [ORT, TFLITE]
    assert [row.place for row in entry_section.entry_rows([one, elsewhere])] == [UNIT, "desk"]
    assert entry_section.entry_rows([one, other, elsewhere])[0].place == f"{UNIT}, {ORT}"


def test_the_legend_counts_the_grades_of_operators_only() -> None:
    entries = [
        measured("a", 1e5),
        measured("b", 1e5, flags=("not_precise",)),
        measured("c", 1e5, flags=("converged", "drift")),
        measured("network:fbnet-224:0,0", 1e7, flags=("not_precise",)),
        zero("identity"),
    ]

    assert [(grade["name"], grade["count"]) for grade in entry_section.legend(entries)] == [
        ("precise", 1),
        ("wide", 1),
        ("disturbed", 1),
    ]


def test_every_flag_and_note_has_words() -> None:
    assert {*Flag.__args__, *NOTES} == set(FLAG_WORDS)  # type: ignore[attr-defined]


def test_flags_are_counted_and_an_unknown_one_is_listed_last() -> None:
    entries = [measured("a", 1e5, flags=("converged", "of tomorrow")), measured("b", 1e5, flags=("converged",))]

    assert entry_section.flag_words(entries) == [("converged", FLAG_WORDS["converged"], 2), ("of tomorrow", UNKNOWN_FLAG, 1)]
