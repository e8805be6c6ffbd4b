"""The sentence that everything opens with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lut_kit import entry, failed, manifest, validation

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.grades import is_precise
from lutfarm.lut.schema.calibration_record import Observed, calibration_of
from lutfarm.lut.schema.validation_record import Uncalibrated
from lutfarm.lut.verdict import NetworkEvidence, table_verdict, verdict

GOOD = ("converged",)
FIRST = ("converged", "reference_provisional")


def many(count: int, flags: tuple[str, ...] = GOOD, name: str = "conv", **changes: object) -> list[Entry]:
    return [
        replace(entry(f"{name}{number}", flags=flags), slices_kept=16, **changes)  # type: ignore[arg-type]
        for number in range(count)
    ]


def test_the_sentence_is_told_in_lines_too_the_first_says_how_much_is_precise() -> None:
    found = verdict(many(8, ("not_precise",)), missing=2)
    assert found.lines[0] == "0 of 8 entries are quiet and precise (8 too wide, 2 not measured yet)."
    assert "Do not predict networks with what is missing." in found.lines
    assert found.lines[-1] == "Run the job again: it measures what is missing."
    assert verdict([]).lines == (verdict([]).sentence,)


def test_a_quiet_table_has_nothing_to_warn_of() -> None:
    found = verdict(many(20), target=0.02)
    assert found.sentence == "All 20 entries are quiet and precise to +-2 %; the machine was quiet."
    assert (found.machine, found.do_not, found.next) == ("quiet", (), "")
    assert (found.entries, found.precise, found.provisional, found.wide, found.disturbed) == (20, 20, 0, 0, 0)


def test_a_disturbed_table_is_for_no_comparison_and_no_calibration_and_says_what_to_type() -> None:
    found = verdict([*many(3), *many(9, ("contended", "not_precise"), "busy")], again="lutfarm run job.yaml")
    assert found.sentence == (
        "3 of 12 entries are quiet and precise (9 disturbed); the machine was disturbed: do not compare devices by this table "
        "nor calibrate on it; measure again when nothing else runs there: lutfarm run job.yaml."
    )
    assert (found.machine, found.precise, found.disturbed) == ("disturbed", 3, 9)


def test_what_a_jobs_end_calls_precise_is_what_the_verdict_does() -> None:
    """One that converged and was disturbed all the same is precise for neither."""
    entries = [
        *many(3),
        *many(2, FIRST, "first"),
        *many(4, ("converged", "contended"), "busy"),
        *many(5, ("not_precise",), "wide"),
    ]
    assert verdict(entries).precise == sum(is_precise(entry.flags) for entry in entries) == 5


@pytest.mark.parametrize(("disturbed", "machine"), [(0, "quiet"), (1, "quiet"), (2, "disturbed")])
def test_one_flag_in_twenty_comes_by_chance(disturbed: int, machine: str) -> None:
    found = verdict([*many(20 - disturbed), *many(disturbed, ("converged", "preempted"), "busy")])
    assert found.machine == machine
    assert (f"({disturbed} disturbed)" in found.sentence) is (disturbed > 0)


def test_first_contact_compares_nothing_yet_and_says_how_that_ends() -> None:
    found = verdict(many(7, FIRST))
    assert found.sentence == (
        "All 7 entries are quiet and precise; what this machine's full speed is, is not established yet: do not compare "
        "devices by this table; measure anything there while nothing else runs, and export it again."
    )
    assert (found.precise, found.provisional, found.machine) == (7, 7, "not established")


def test_what_the_gate_kept_out_is_said_and_warns_of_nothing() -> None:
    found = verdict(many(5, slices_rejected=4))
    assert found.machine == "busy"
    assert "the machine was busy at 20 % of the visits, which do not count" in found.sentence
    assert found.do_not == ()
    assert verdict(many(5, slices_rejected=1)).machine == "quiet"


def test_wide_intervals_rank_nothing_that_lies_within_them() -> None:
    found = verdict([*many(5), *many(5, ("not_precise",), "wide")])
    assert "5 of 10 entries are quiet and precise (5 too wide)" in found.sentence
    assert "do not rank what lies closer together than the intervals; more rounds narrow what is wide." in found.sentence


def test_what_is_missing_and_what_failed_is_counted_beside() -> None:
    found = verdict([*many(2), failed("big")], missing=3)
    assert "All 2 entries are quiet and precise (1 failed, 3 not measured yet)" in found.sentence
    assert found.do_not == ("predict networks with what is missing",)
    assert found.next == "run the job again: it measures what is missing"


def test_nothing_measured_is_nothing_to_use() -> None:
    assert verdict([]).sentence == "Nothing was measured: there is nothing in this table to use."
    found = verdict([failed("big")], missing=2, again="x")
    assert found.sentence == "Nothing was measured (1 failed, 2 not measured yet): there is nothing in this table to use."


def test_nobody_saw_the_neighbours_of_a_native_tool() -> None:
    found = verdict(many(2, statistic="tool_mean"))
    assert found.sentence.startswith("All 2 entries are precise; a native tool shows nothing of what ran beside it")
    assert (found.machine, found.busy_visits) == ("not seen", None)


def test_one_entry_reads_like_one() -> None:
    assert verdict(many(1)).sentence == "The only entry is quiet and precise; the machine was quiet."
    assert verdict(many(1, ("not_precise",))).sentence.startswith("0 of 1 entry is quiet and precise (1 too wide)")


@pytest.mark.parametrize(("networks", "few"), [(1, 1), (4, 4), (5, None)])
def test_a_calibration_on_fewer_than_five_networks_is_named(networks: int, few: int | None) -> None:
    observed = [Observed((number,), {"conv_a": 1}, 1e6) for number in range(networks)]
    calibration = calibration_of(observed, space="tiny", device="desk", backend="onnxruntime-cpu-t1-fp32")
    found = table_verdict(LatencyTable.of(many(6), manifest(calibrations=(calibration,))))
    assert found.few_networks == few
    said = {1: "calibrated on 1 network, too few to correct anything", 4: "on 4 networks, too few to correct anything"}
    assert ("too few to correct anything" in found.sentence) is (few is not None)
    assert said.get(few or 0, "") in found.sentence


def test_networks_that_a_busy_machine_measured_judge_no_prediction() -> None:
    found = verdict(many(6), evidence=NetworkEvidence(networks=12, busy=9))
    assert found.sentence == (
        "All 6 entries are quiet and precise; the machine was quiet; a busy machine measured 9 of the 12 networks that it was "
        "held against: do not judge its predictions by its validation."
    )
    assert (found.networks, found.busy_networks) == (12, 9)
    known = validation([100.0, 200.0], [110.0, 190.0])
    busy = replace(known, networks=tuple(replace(one, measured_flags=("contended",)) for one in known.networks))
    assert table_verdict(LatencyTable.of(many(6), manifest(validations=(busy,)))).busy_networks == 2
    assert table_verdict(LatencyTable.of(many(6), manifest(validations=(known,)))).do_not == ()


def test_networks_that_were_too_few_to_calibrate_are_named() -> None:
    lacking = Uncalibrated("desk", "onnxruntime-cpu-t1-fp32", "tiny", "1 of its networks is good enough")
    found = table_verdict(LatencyTable.of(many(6), manifest(uncalibrated=(lacking,))))
    assert found.few_networks == 0
    assert "not calibrated, fewer than 5 networks were good enough" in found.sentence


def test_a_table_names_its_job_where_nobody_says_how_it_is_measured_again() -> None:
    found = table_verdict(LatencyTable.of(many(2, ("contended", "not_precise")), manifest(job_name="fbnet")))
    assert "give the file of job fbnet `fresh: true` and another `name`, and run it" in found.sentence


@pytest.mark.parametrize("statistic", ["p25_quiet", "p10_swept"])
def test_visits_that_found_no_quiet_window_count_whatever_was_gated(statistic: str) -> None:
    kept = many(1)[0].slices_kept
    assert verdict(many(5, statistic=statistic, slices_rejected=kept)).busy_visits == pytest.approx(0.5)
