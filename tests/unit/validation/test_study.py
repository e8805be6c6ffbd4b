"""Networks beside a table: the draw, the derived job, what the outcome says of failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.lut_kit import ORT, TFLITE, UNIT, entry, manifest, piece, run, validation

from lutfarm.lut import Calibration, Entry, LatencyTable, Uncalibrated, Validation
from lutfarm.lut.building.build_table import build_table
from lutfarm.records.job import Job
from lutfarm.validation.outcome import MeasuredNetworks, StudyOnTable, ValidationOutcome, calibration_for, outcome_of
from lutfarm.validation.study import StudyJob, find_study, plan_study
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand
from lutfarm_jobs.measurement import Measurement, Workload
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, Study, parse_job

FBNET = spaces.load("fbnet-32")
SPEC = parse_job(
    {"name": "j", "workloads": [{"space": "fbnet-32"}], "devices": [UNIT], "backends": [{"runtime": "onnxruntime"}]},
    source="test",
)
JOB = Job("j-0123456789", "j", SPEC.model_dump_json(), 1.0)


def priced() -> LatencyTable:
    """Every operator costs what it computes."""
    real = [operator for operator in FBNET.operators() if not operator.is_nothing]
    return LatencyTable.of([entry(o.key, 1000.0 + o.multiply_accumulates / 100) for o in real], manifest())


def planned(networks: int = 6, calibrate: int = 3, seed: int = 0, studies: tuple[StudyJob, ...] = ()) -> JobSpec:
    wanted = Study(job=JOB.id, networks=networks, calibrate=calibrate, seed=seed)
    return plan_study(JOB, priced(), FBNET, wanted, studies=studies)


def test_the_derived_job_sweeps_networks_in_seven_processes_and_anchors_come_again() -> None:
    spec = planned()
    assert (spec.sampling.rounds, spec.sampling.sweep, spec.fresh) == (7, True, True)
    study = StudyJob(spec.id, spec, 1.0)
    assert [len(part) for part in study.archs] == [6, 3, 3]
    assert len({arch for part in study.archs for arch in part}) == 12
    later = StudyJob("other", planned(seed=1, studies=(study,)), 2.0)
    assert later.archs[2] == study.archs[2]
    assert not {*later.archs[0], *later.archs[1]} & {arch for part in study.archs for arch in part}
    assert find_study([study, later], later.study, "fbnet-32") is later
    assert find_study([study], later.study, "fbnet-32") is None


def test_jobs_that_validate_nothing_keep_the_id_that_they_had() -> None:
    assert replace_sampling(SPEC, rounds=5).id == "j-9365c267ec"
    assert replace_sampling(SPEC, stop="rounds").id != SPEC.id
    assert replace_sampling(SPEC, sweep=True).id != SPEC.id


def replace_sampling(spec: JobSpec, **changes: object) -> JobSpec:
    return spec.model_copy(update={"sampling": spec.sampling.model_copy(update=changes)})


def test_a_network_that_is_none_of_the_space_is_refused_by_its_place() -> None:
    spec = parse_job(
        {
            "name": "j",
            "workloads": [{"space": "fbnet-32", "operators": "none", "archs": ["1,2"]}],
            "devices": [UNIT],
            "backends": [{"runtime": "onnxruntime"}],
        },
        source="test",
    )
    with pytest.raises(SpecError, match=r"workloads\[0\]\.archs\[0\].*22 layers"):
        expand(spec, Sources({"fbnet-32": FBNET}, {}), [UNIT])


def measured_networks(spec: JobSpec, factor: float) -> tuple[list[Measurement], list[Entry]]:
    plan = list(expand(spec, Sources({"fbnet-32": FBNET}, {}), [UNIT]))
    table = priced()
    names = [m.workload.name.partition(":")[2] for m in plan]
    found = [
        replace(
            entry("x", factor * table.predict(FBNET, FBNET.parse(name)).estimate, statistic="p10_swept"),
            key=m.key,
            workload=m.workload.key,
        )
        for m, name in zip(plan, names, strict=True)
    ]
    return plan, found


def processes(entries: list[Entry], wobble: float = 0.01) -> dict[str, dict[str, float]]:
    return {
        one.key: {f"r{r}": (one.estimate or 0.0) * (1 + wobble * ((at * 7 + r * 3) % 5 - 2) / 2) for r in range(7)}
        for at, one in enumerate(entries)
    }


def held(study: StudyJob, measured: MeasuredNetworks, plan: list[Measurement], **changes: Any) -> ValidationOutcome:
    """The outcome for the priced table, calibrated on the study's own networks."""
    one = StudyOnTable(study, changes.pop("table", priced()), FBNET, measured, plan, **changes)
    return outcome_of(one, {place: found for place in one.places if (found := calibration_for(one, place))})


def test_failed_networks_are_named_and_counted_and_the_rest_compared() -> None:
    spec = planned()
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 0.9)
    nothing = {"estimate": None, "low": None, "high": None}
    entries[0] = replace(entries[0], kind="failed", failure_code="OutOfMemory", failure_detail="40 GB", **nothing)
    left = [one for one in entries if one.key != plan[1].key]
    table = LatencyTable.of(left, manifest())
    (place,) = held(study, MeasuredNetworks(table, processes(left[1:])), plan).validations
    assert [network.failure for network in place.unusable] == ["OutOfMemory: 40 GB", "not measured yet"]
    assert [network.arch for network in place.unusable] == list(study.archs[0][:2])
    assert place.figures.n == 4
    assert place.figures.bias == pytest.approx(1 / 0.9 - 1)
    assert place.coverage == 0.0
    assert place.ceiling is not None
    assert place.ceiling.n == 4
    assert place.ceiling.mape < 0.02
    assert (place.device, place.backend, place.anchor_shift) == (UNIT, ORT.key, None)


def test_calibration_networks_show_what_calibrating_gives() -> None:
    spec = planned(networks=8, calibrate=6)
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 0.8)
    measured = MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries, wobble=0.002))
    (place,) = held(study, measured, plan).validations
    assert place.figures.mape == pytest.approx(0.25)
    assert place.calibrated is not None
    assert place.calibrated.networks == 6
    assert place.calibrated.figures.n == 8
    assert place.calibrated.figures.mape < 0.01
    assert place.calibrated.coverage == 1.0


def as_busy(found: Entry, factor: float = 1.2) -> Entry:
    """As a busy machine measured it."""
    ns = factor * (found.estimate or 0.0)
    return replace(found, estimate=ns, low=ns / 2, high=2 * ns, flags=("contended", "no_quiet_window", "not_precise"))


def test_a_validation_says_what_a_busy_machine_measured_and_gives_the_figures_of_the_others() -> None:
    spec = planned(networks=8, calibrate=0)
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 0.9)
    entries[:3] = [as_busy(one) for one in entries[:3]]
    (place,) = held(study, MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries)), plan).validations
    assert place.busy_share == pytest.approx(3 / 8)
    assert [network.busy for network in place.used] == [True] * 3 + [False] * 5
    assert place.figures.n == 8
    assert place.figures.bias == pytest.approx((5 * (1 / 0.9 - 1) + 3 * (1 / 1.08 - 1)) / 8)
    assert place.quiet_figures is not None
    assert (place.quiet_figures.n, place.quiet_figures.bias) == (5, pytest.approx(1 / 0.9 - 1))
    assert "a busy machine measured 3 of the 8; of the 5 others: MAPE 11.1 %" in place.describe()


def test_networks_that_a_quiet_machine_measured_say_so_where_a_busy_one_measured_their_operators() -> None:
    found = validation([1_000.0] * 4, [1_000.0] * 4)
    assert found.busy_words() == ""
    disturbed = replace(found, networks=tuple(replace(n, predicted_flags=("contended",)) for n in found.networks))
    assert disturbed.busy_words() == "4 of the 4 are predicted from operators that a busy machine measured"
    one = replace(disturbed, networks=(replace(disturbed.networks[0], measured_flags=("contended",)), *disturbed.networks[1:]))
    assert one.busy_words().startswith("a busy machine measured 1 of the 4; of the 3 others: MAPE 0.0 %")
    assert one.busy_words().endswith("; 3 of the 3 others are predicted from operators that a busy machine measured")


def test_where_a_busy_machine_measured_nearly_all_there_are_no_figures_without_it() -> None:
    spec = planned(networks=4, calibrate=0)
    plan, entries = measured_networks(spec, 0.9)
    entries = [as_busy(one) if at else one for at, one in enumerate(entries)]
    (place,) = held(
        StudyJob(spec.id, spec, 1.0), MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries)), plan
    ).validations
    assert (place.busy_share, place.quiet_figures, place.quiet_calibrated_figures) == (0.75, None, None)
    assert "a busy machine measured 3 of the 4: these figures are the machine's as much as the table's" in place.describe()


def calibrations(busy: int, *, calibrate: int = 7) -> tuple[ValidationOutcome, Calibration | Uncalibrated | None]:
    """Of a study whose first `busy` calibration networks a busy machine measured, 20 % too slow."""
    spec = planned(networks=4, calibrate=calibrate)
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 0.8)
    entries[4 : 4 + busy] = [as_busy(one, 1.4) for one in entries[4 : 4 + busy]]
    measured = MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries, wobble=0.002))
    one = StudyOnTable(study, priced(), FBNET, measured, plan)
    return held(study, measured, plan), calibration_for(one, one.places[0])


def test_a_calibration_learns_nothing_from_a_busy_machine_and_says_so() -> None:
    outcome, found = calibrations(2)
    assert isinstance(found, Calibration)
    assert (len(found.networks), found.left_out) == (5, 2)
    assert found.describe() == "calibrated on 5 networks, 2 that a busy machine measured left out"
    (place,) = outcome.validations
    assert place.calibrated is not None
    assert (place.calibrated.networks, outcome.uncalibrated) == (5, ())
    assert place.calibrated.figures.mape < 0.01


def test_a_calibration_says_what_its_networks_are_flagged_with_and_so_does_each_prediction() -> None:
    spec = planned(networks=4, calibrate=6)
    plan, entries = measured_networks(spec, 0.8)
    entries[5] = replace(entries[5], flags=("not_precise", "throttled", "reference_provisional"))
    entries[0] = replace(entries[0], flags=("drift",))  # of a network to validate with
    measured = MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries, wobble=0.002))
    one = StudyOnTable(StudyJob(spec.id, spec, 1.0), priced(), FBNET, measured, plan)
    found = calibration_for(one, one.places[0])
    assert isinstance(found, Calibration)
    assert found.flags == ("reference_provisional", "throttled")
    assert found.describe() == "calibrated on 6 networks, some of them reference_provisional, throttled"
    table = priced().with_calibrations([found])
    assert {"reference_provisional", "throttled"} <= set(table.predict(FBNET, FBNET.random(1, 1)[0]).flags)
    assert "throttled" not in table.predict(FBNET, FBNET.random(1, 1)[0], uncalibrated=True).flags


@pytest.mark.parametrize("flags", [("",), ("two words",), ("x" * 61,), ("bell\a",), tuple(f"f{n}" for n in range(101))])
def test_what_is_no_flag_is_refused_of_a_calibration(flags: tuple[str, ...]) -> None:
    _, found = calibrations(0)
    assert isinstance(found, Calibration)
    with pytest.raises(SpecError, match="are none"):
        replace(found, flags=flags)


@pytest.mark.parametrize(
    ("busy", "calibrate", "said"),
    [
        (3, 7, "4 of its networks are good enough, at least 5 are needed (a busy machine measured 3 others)"),
        (7, 7, "0 of its networks are good enough, at least 5 are needed (a busy machine measured 7 others)"),
        (0, 4, "4 of its networks are good enough, at least 5 are needed (4 were asked for)"),
    ],
)
def test_fewer_than_five_good_networks_calibrate_nothing(busy: int, calibrate: int, said: str) -> None:
    outcome, found = calibrations(busy, calibrate=calibrate)
    assert isinstance(found, Uncalibrated)
    assert said in found.reason
    (place,) = outcome.validations
    assert (place.calibrated, outcome.uncalibrated) == (None, (found,))
    table = priced().with_calibrations([], uncalibrated=[found])
    assert f"{UNIT} with {ORT.key}: not calibrated for fbnet-32: {said}" in table.describe()
    assert table.select(device=UNIT).manifest.uncalibrated == (found,)


def test_without_calibration_networks_there_is_nothing_to_refuse() -> None:
    outcome, found = calibrations(0, calibrate=0)
    assert (found, outcome.uncalibrated) == (None, ())


def test_anchors_say_how_another_sitting_differs() -> None:
    spec = planned()
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 1.05)
    first = MeasuredNetworks(LatencyTable.of(measured_networks(spec, 1.0)[1], manifest()), {})
    found = held(study, MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries)), plan, first=first)
    assert found.validations[0].anchor_shift == pytest.approx(0.05)
    assert found.validations[0].coverage == 0.0


def test_anchors_that_were_measured_with_another_runtime_tell_no_drift_but_why() -> None:
    spec = planned()
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 1.05)
    prints = {"old": {"runtime": "1.31", "slicing": "swept"}, "new": {"runtime": "1.32", "slicing": "swept"}}

    def found(before: str) -> Validation:
        entries_before = [replace(e, fingerprint=before) for e in measured_networks(spec, 1.0)[1]]
        first = MeasuredNetworks(LatencyTable.of(entries_before, manifest(fingerprints=prints)), {})
        now = LatencyTable.of([replace(e, fingerprint="new") for e in entries], manifest(fingerprints=prints))
        return held(study, MeasuredNetworks(now, processes(entries)), plan, first=first).validations[0]

    assert (found("new").anchor_shift, found("new").anchor_refusal) == (pytest.approx(0.05), "")
    assert found("old").anchor_shift is None
    assert "runtime: '1.31' (the first sitting) and '1.32' (this one)" in found("old").anchor_refusal
    unread = held(study, MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries)), plan, first="it disagrees")
    assert (unread.validations[0].anchor_shift, unread.validations[0].anchor_refusal) == (None, "it disagrees")


def test_fewer_than_two_usable_networks_are_a_refusal_in_words() -> None:
    spec = planned(networks=2)
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 1.0)
    table = LatencyTable.of(entries[1:], manifest())
    with pytest.raises(SpecError, match=r"1 of 2 networks can be held against the table, at least 2 .*not measured yet"):
        held(study, MeasuredNetworks(table, {}), plan)


def test_a_place_that_is_refused_does_not_silence_the_others() -> None:
    spec = planned()
    study = StudyJob(spec.id, spec, 1.0)
    plan, entries = measured_networks(spec, 0.9)
    elsewhere = [replace(m, backend=TFLITE) for m in plan]
    own = priced().entries
    others = [replace(one, key=one.key.replace(ORT.key, TFLITE.key), backend=TFLITE.key) for one in own]
    both = LatencyTable.of([*own, *others], manifest())
    measured = MeasuredNetworks(LatencyTable.of(entries, manifest()), processes(entries))
    found = held(study, measured, [*plan, *elsewhere], table=both)
    assert [place.backend for place in found.validations] == [ORT.key]
    assert "0 of 6 networks can be held" in found.refused[0]


def test_networks_of_another_runtime_version_are_not_held_against_a_table() -> None:
    spec = planned()
    plan, entries = measured_networks(spec, 0.9)
    prints = {
        "old": {"runtime": "1.31", "slicing": "gated"},
        "new": {"runtime": "1.32", "slicing": "swept"},
        "same": {"runtime": "1.31", "slicing": "swept"},
    }

    def outcome(networks: str) -> ValidationOutcome:
        table = LatencyTable.of([replace(e, fingerprint="old") for e in priced().entries], manifest(fingerprints=prints))
        measured = LatencyTable.of([replace(e, fingerprint=networks) for e in entries], manifest(fingerprints=prints))
        return outcome_of(StudyOnTable(StudyJob(spec.id, spec, 1.0), table, FBNET, MeasuredNetworks(measured, {}), plan), {})

    assert len(outcome("same").validations) == 1
    with pytest.raises(SpecError, match=r"runtime: '1\.31' \(the table\) and '1\.32' \(its networks\)"):
        outcome("new")


def test_a_measurement_of_a_network_is_named_by_space_and_architecture() -> None:
    spec = planned()
    plan, _ = measured_networks(spec, 1.0)
    assert plan[0].workload == Workload("network", f"fbnet-32:{StudyJob('x', spec, 0.0).archs[0][0]}")


def test_a_table_takes_out_what_a_whole_process_was_slower() -> None:
    """A network that only the slow processes measured is not slower for that."""
    plan = [Measurement(Workload("network", f"s:{number}"), UNIT, ORT) for number in range(8)]
    shifts = (1.0, 1.06, 0.97, 1.04)
    runs = [
        run(*(piece(round(1_000_000 * (at + 1) * shift), gated=False) for _ in range(4)), number=process, key=m.key)
        for at, m in enumerate(plan)
        for process, shift in enumerate(shifts)
        if not (at == 0 and shift < 1.02)
    ]
    table = build_table(plan, runs, manifest=manifest())
    found = [one.estimate or 0.0 for one in table.entries]
    assert [ns / found[7] for ns in found] == pytest.approx([(at + 1) / 8 for at in range(8)], rel=1e-3)
    assert all(one.common_share is not None and one.common_share > 0.5 for one in table.entries)
    assert all((one.high or 0.0) / (one.estimate or 1.0) > 1.02 for one in table.entries)
