"""Devices and backends of which nobody knows how well they predict: each is named, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from tests.lut_kit import ORT, TFLITE, entry, manifest, validation

from lutfarm.lut import Entry, LatencyTable, Refusal
from lutfarm.lut.table import UNVALIDATED
from lutfarm.report.validation_section import unvalidated

HERE, THERE = entry("a"), entry("a", backend=TFLITE)
ORT_HERE, TFLITE_HERE = f"{ORT.key} on desk", f"{TFLITE.key} on desk"


def told(entries: Sequence[Entry] = (HERE, THERE), **changes: object) -> list[tuple[str, str]]:
    return unvalidated(LatencyTable.of(entries, manifest(**changes)))


def test_every_place_of_a_table_that_nobody_validated_is_named_in_its_order() -> None:
    assert told() == [(ORT_HERE, UNVALIDATED), (TFLITE_HERE, UNVALIDATED)]
    assert told((THERE, HERE, entry("b"))) == [(TFLITE_HERE, UNVALIDATED), (ORT_HERE, UNVALIDATED)]
    assert told(()) == []


def test_a_place_that_was_validated_is_not_and_says_nothing_for_another() -> None:
    found = validation([1e6], [1e6])
    assert told(validations=(found,)) == [(TFLITE_HERE, UNVALIDATED)]
    assert told((HERE,), validations=(found,)) == []
    elsewhere = entry("a", device="phone")
    assert told((HERE, elsewhere), validations=(found,)) == [(f"{ORT.key} on phone", UNVALIDATED)]


def test_a_place_whose_networks_do_not_count_says_why_for_each_space() -> None:
    refusals = tuple(Refusal("desk", ORT.key, space, f"{space} drifted") for space in ("tiny", "large"))
    assert told(refusals=refusals) == [
        (ORT_HERE, "not validated against networks of tiny: tiny drifted"),
        (ORT_HERE, "not validated against networks of large: large drifted"),
        (TFLITE_HERE, UNVALIDATED),
    ]


def test_one_space_that_counts_does_not_hide_another_that_does_not() -> None:
    refusal = Refusal("desk", ORT.key, "large", "other software")
    assert told((HERE,), validations=(validation([1e6], [1e6]),), refusals=(refusal,)) == [(ORT_HERE, refusal.describe())]


def test_what_steers_the_text_is_shown_as_what_it_is() -> None:
    device = "desk\x1b[2J\u202e"
    refusal = Refusal(device, ORT.key, "tiny\n", "gone\x00")
    ((place, why),) = told((entry("a", device=device),), refusals=(refusal,))
    assert place == f"{ORT.key} on desk�[2J�"
    assert why == "not validated against networks of tiny�: gone�"
