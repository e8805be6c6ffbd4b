"""What the page prints of whole networks: predicted, calibrated and measured, and everything that limits what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.lut_kit import ORT, TFLITE, entry, manifest, validation

from lutfarm.lut import LatencyTable, Network, Uncalibrated, Validation, compare
from lutfarm.lut.schema.figures import share
from lutfarm.lut.schema.validation_record import Calibrated
from lutfarm.report.validation_section import ComparedNetwork, comparisons

PREDICTED, MEASURED, MENDED = [1.08e6, 1.92e6, 3.6e6], [1e6, 2e6, 3e6], [1.01e6, 2.04e6, 2.94e6]
PLAIN = validation(PREDICTED, MEASURED)  # off by +8, -4 and +20 %


def mended(found: Validation, calibrated_ns: Sequence[float | None], *, others: int = 4) -> Validation:
    """Calibrated on so many other networks; intervals of 5 % either way."""
    networks = tuple(
        one if ns is None else replace(one, calibrated=ns, calibrated_low=0.95 * ns, calibrated_high=1.05 * ns)
        for one, ns in zip(found.networks, calibrated_ns, strict=True)
    )
    known = [(one.calibrated, one.measured or 0.0) for one in networks if one.calibrated is not None]
    figures = compare([ns for ns, _ in known], [ns for _, ns in known])
    after = Calibrated(others, figures, share([one.covered_calibrated for one in networks]))
    return replace(found, networks=networks, calibrated=after)


def flagged(found: Validation, *positions: int, **flags: tuple[str, ...]) -> Validation:
    """The same, some networks of it with these flags."""
    return replace(found, networks=tuple(replace(n, **flags) if at in positions else n for at, n in enumerate(found.networks)))


def more(found: Validation, *networks: Network) -> Validation:
    return replace(found, networks=(*found.networks, *networks))


def shown(found: Validation, **changes: object) -> ComparedNetwork:
    (only,) = comparisons(LatencyTable.of((entry("a"), entry("a", backend=TFLITE)), manifest(validations=(found,), **changes)))
    return only


def figures(found: Validation) -> dict[str, tuple[str, ...]]:
    return {row.name: row.values for row in shown(found).figures}


def notes(found: Validation, **changes: object) -> str:
    return " ".join(shown(found, **changes).notes)


@pytest.mark.parametrize(
    ("found", "columns"),
    [
        (replace(PLAIN, ceiling=None), ("sum of entries",)),
        (PLAIN, ("sum of entries", "noise ceiling")),
        (replace(mended(PLAIN, MENDED), ceiling=None), ("sum of entries", "calibrated on 4 others")),
        (mended(PLAIN, MENDED, others=1), ("sum of entries", "calibrated on 1 other", "noise ceiling")),
    ],
)
def test_every_figure_has_a_value_in_each_column_that_there_is(found: Validation, columns: tuple[str, ...]) -> None:
    made = shown(found)
    assert made.columns == columns
    assert [len(row.values) for row in made.figures] == [len(columns)] * len(made.figures)
    assert made.calibrated == (len(columns) > 1 and columns[1].startswith("calibrated"))


def test_figures_stand_in_the_order_of_their_columns() -> None:
    assert figures(mended(PLAIN, MENDED)) == {
        "networks": ("3", "3", "3"),
        "mean absolute error (MAPE)": ("11 %", "1.7 %", "0.99 %"),
        "bias": ("+8.0 %", "+0.3 %", "−1.0 %"),
        "largest error": ("20 %", "2.0 %", "0.99 %"),
        "within 5 %": ("33 %", "100 %", "100 %"),
        "within 10 %": ("67 %", "100 %", "100 %"),
        "Kendall’s τ": ("1.000", "1.000", "1.000"),
        "Spearman’s ρ": ("1.000", "1.000", "1.000"),
        "in the interval": ("67 %", "100 %", "–"),
    }


def test_a_ranking_that_is_all_wrong_is_minus_one() -> None:
    found = figures(validation([3e6, 2e6, 1e6], MEASURED))
    assert (found["Kendall’s τ"][0], found["Spearman’s ρ"][0]) == ("-1.000", "-1.000")


def test_one_network_has_figures_and_no_rank() -> None:
    found = figures(validation([1.5e6], [1e6]))
    assert found["networks"] == ("1", "1")
    assert found["largest error"][0] == "50 %"
    assert found["Kendall’s τ"] == found["Spearman’s ρ"] == ("–", "–")


def test_predictions_without_intervals_have_no_share_in_them() -> None:
    bare = tuple(replace(one, predicted_low=None, predicted_high=None) for one in PLAIN.networks)
    found = replace(PLAIN, networks=bare, coverage=None)
    assert figures(found)["in the interval"] == ("no intervals", "–")
    assert {row.predicted_interval for row in shown(found).rows} == {"no interval"}


@pytest.mark.parametrize(("confidence", "words"), [(0.95, "95 %"), (0.9, "90 %"), (0.999, "99.9 %")])
def test_an_interval_says_of_what_confidence_it_is(confidence: float, words: str) -> None:
    made = shown(replace(PLAIN, confidence=confidence))
    assert made.figures[-1].words == f"share whose measurement lies in the prediction’s {words} interval"
    assert any(note.startswith(f"Intervals of the measured networks: {words}, over") for note in made.notes)


def test_networks_stand_by_what_was_measured_fastest_first() -> None:
    rows = shown(validation([1.5e6, 2.6e6, 1.8e6], [3e6, 1e6, 2e6])).rows  # predicted in another order
    assert [(row.name, row.measured) for row in rows] == [("1", "1.000 ms"), ("2", "2.000 ms"), ("0", "3.000 ms")]


def test_a_network_has_both_predictions_each_with_its_interval_and_its_error() -> None:
    row = shown(mended(PLAIN, MENDED)).rows[1]
    assert (row.predicted, row.predicted_interval, row.error) == ("1.920 ms", "1.728 – 2.112 ms", "−4.0 %")
    assert (row.calibrated, row.calibrated_interval, row.calibrated_error) == ("2.040 ms", "1.938 – 2.142 ms", "+2.0 %")
    assert (row.measured, row.measured_interval) == ("2.000 ms", "1.800 – 2.200 ms")


def test_what_was_not_calibrated_has_an_empty_place_and_no_zero() -> None:
    for row in shown(PLAIN).rows:
        assert (row.calibrated, row.calibrated_interval, row.calibrated_error) == ("", "", "")
    part = shown(mended(PLAIN, [None, *MENDED[1:]]))
    assert part.calibrated
    assert [row.calibrated for row in part.rows] == ["", "2.040 ms", "2.940 ms"]
    assert {row.name: row.values for row in part.figures}["networks"] == ("3", "2", "3")


def test_a_network_that_a_busy_machine_measured_says_so_and_the_others_do_not() -> None:
    rows = shown(flagged(PLAIN, 1, measured_flags=("contended",))).rows
    assert [row.measured for row in rows] == ["1.000 ms", "2.000 ms (busy machine)", "3.000 ms"]
    harmless = shown(flagged(PLAIN, 1, measured_flags=("reference_provisional",))).rows
    assert [row.measured for row in harmless] == ["1.000 ms", "2.000 ms", "3.000 ms"]


def test_networks_that_only_calibrate_or_anchor_are_neither_shown_nor_missed() -> None:
    made = shown(
        more(
            PLAIN,
            Network("c", "calibration", 9e6, 8e6, 10e6, 9e6, 8e6, 10e6),
            Network("k", "anchor", 9e6, 8e6, 10e6, None, failure="LinkLost"),
        )
    )
    assert [row.name for row in made.rows] == ["0", "1", "2"]
    assert made.left_out == ()


def test_networks_that_could_not_be_held_against_the_table_are_left_out_with_their_reason() -> None:
    lost = Network("lost", "validation", 1e6, 0.9e6, 1.1e6, None, failure="OutOfMemory: 40 GB")
    lacking = Network("lacking", "validation", None, None, None, 2e6, failure="no entry of conv\x1b[1m")
    made = shown(more(PLAIN, lost, lacking))
    assert made.left_out == (("lost", "OutOfMemory: 40 GB"), ("lacking", "no entry of conv�[1m"))
    assert len(made.rows) == 3


def test_where_networks_come_from_is_said_first() -> None:
    first = shown(replace(PLAIN, seed=7, study_id="j-7", measured_s=1_763_940_000.0)).notes[0]
    assert first == "Networks of tiny, drawn with seed 7, measured by job j-7 of 2025-11-23 23:20 UTC."


def test_what_the_measured_intervals_are_over_is_said_where_it_is_known() -> None:
    assert "95 %, over rounds (fresh processes) of one sitting: another day’s" in notes(PLAIN)
    assert "95 %, over rounds of 3 sittings, pooled." in notes(replace(PLAIN, scope="rounds of 3 sittings, pooled"))
    assert "Intervals" not in notes(replace(PLAIN, scope=""))


@pytest.mark.parametrize(("shift", "words"), [(0.031, "+3.1 %"), (-0.02, "−2.0 %"), (0.0, "+0.0 %")])
def test_anchors_say_how_far_this_sitting_is_from_the_first(shift: float, words: str) -> None:
    assert f"took {words} beside the table’s first sitting." in notes(replace(PLAIN, anchor_shift=shift))


def test_anchors_that_can_not_be_compared_say_why_and_the_first_sitting_says_nothing() -> None:
    unread = notes(replace(PLAIN, anchor_refusal="other software"))
    assert "How far this sitting is from the table’s first can’t be said: other software." in unread
    assert "took" not in unread
    assert "sitting is from" not in notes(PLAIN)
    assert "anchors" not in notes(PLAIN)


def test_a_quiet_machine_is_not_called_busy() -> None:
    assert "busy" not in notes(mended(PLAIN, MENDED))


def test_where_a_busy_machine_measured_some_the_figures_of_the_others_are_told() -> None:
    found = flagged(mended(PLAIN, MENDED), 2, measured_flags=("contended",))
    told = notes(found)
    assert "A busy machine measured 1 of the 3; of the 2 others: MAPE 6.0 %, bias +2.0 %, Kendall tau 1.00." in told
    assert "Of these others, calibrated: MAPE 1.5 %, bias +1.5 %, Kendall tau 1.00." in told
    assert "calibrated" not in notes(flagged(PLAIN, 2, measured_flags=("contended",)))


def test_where_a_busy_machine_measured_too_many_no_figures_of_others_are_told() -> None:
    told = notes(flagged(mended(PLAIN, MENDED), 0, 2, measured_flags=("no_quiet_window",)))
    assert "A busy machine measured 2 of the 3: these figures are the machine's as much as the table's." in told
    assert "others" not in told


def test_where_only_the_operators_were_measured_by_a_busy_machine_all_figures_stand() -> None:
    told = notes(flagged(mended(PLAIN, MENDED), 0, 2, predicted_flags=("contended",)))
    assert "2 of the 3 are predicted from operators that a busy machine measured." in told
    assert "Of these others" not in told


def test_a_table_that_is_not_calibrated_for_this_space_says_why_and_for_no_other() -> None:
    every = tuple(
        Uncalibrated("desk", backend, space, f"{space} differs")
        for backend, space in ((ORT.key, "tiny"), (ORT.key, "large"), (TFLITE.key, "tiny"))
    )
    assert [note for note in shown(PLAIN, uncalibrated=every).notes if "calibrated" in note] == [
        "Not calibrated for tiny: tiny differs."
    ]


def test_validations_stand_by_device_backend_and_space_whatever_order_they_come_in() -> None:
    """The space is in the heading only where one place has several, which can't be told apart without it."""
    places = [("desk", ORT.key, "tiny"), ("desk", TFLITE.key, "large"), ("desk", TFLITE.key, "tiny"), ("phone", ORT.key, "tiny")]
    found = [replace(PLAIN, device=device, backend=backend, space=space) for device, backend, space in places]
    entries = (entry("a"), entry("a", backend=TFLITE), entry("a", device="phone"))
    headings = [f"{ORT.key} on desk", f"{TFLITE.key} on desk, large", f"{TFLITE.key} on desk, tiny", f"{ORT.key} on phone"]
    for order in (found, found[::-1]):
        made = comparisons(LatencyTable.of(entries, manifest(validations=tuple(order))))
        assert [one.heading for one in made] == headings
        drawn = [ElementTree.fromstring(one.plot) for one in made]
        assert [one.findtext("title") for one in drawn] == [f"Predicted against measured latency: {name}" for name in headings]
        ids = [element.get("id") for one in drawn for element in one.iter() if element.get("id")]
        assert len(ids) == len(set(ids))


def test_a_plot_shows_as_many_networks_as_the_figures_are_of() -> None:
    lost = Network("lost", "validation", 1e6, 0.9e6, 1.1e6, None, failure="OutOfMemory")
    words = ElementTree.fromstring(shown(more(mended(PLAIN, MENDED), lost)).plot).findtext("desc")
    assert words is not None
    assert words.startswith("3 networks, measured from 1.000 ms to 3.000 ms")
    assert "errors from -4.0 % to +20.0 %; calibrated from -2.0 % to +2.0 %" in words


def test_a_table_without_validations_has_nothing_to_compare() -> None:
    assert comparisons(LatencyTable.of((entry("a"),), manifest())) == ()


def test_nothing_from_outside_steers_what_is_printed() -> None:
    bad = "x\x1b[31m\u202e\n\x00"
    networks = tuple(replace(one, arch=bad + one.arch) for one in PLAIN.networks)
    found = replace(
        PLAIN, device=bad, space=bad, study_id=bad, scope=bad, anchor_refusal=bad, networks=networks, coverage=PLAIN.coverage
    )
    here = entry("a", device=bad)
    (made,) = comparisons(
        LatencyTable.of((here,), manifest(validations=(found,), uncalibrated=(Uncalibrated(bad, ORT.key, bad, bad),)))
    )
    plain = "x�[31m���"
    assert made.heading == f"{ORT.key} on {plain}"
    assert [row.name for row in made.rows] == [plain + one.arch for one in PLAIN.networks]
    told = " ".join(made.notes)
    assert told.count(plain) == 6
    assert not any(character in made.heading + told + made.plot for character in "\x1b\u202e\x00")
