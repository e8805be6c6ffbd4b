"""Sides, pairs in their order, and who is next: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.schedule_kit import OneJob, begin, changed

from lutfarm.cli.compare import words
from lutfarm.comparison import Comparison, WorkloadRatio
from lutfarm.comparison.pairing import PairStrategy, next_round, paired_job
from lutfarm.comparison.sides import parse_side, plan_pairs, spec_of
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress
from lutfarm.scheduling.state import over, with_job
from lutfarm.scheduling.steps import MeasureThese, Step
from lutfarm.scheduling.stop_rule import pair_rule, stop_rule
from lutfarm.scheduling.strategy import JobNews, Strategy
from lutfarm.statistics.comparisons.pairs import PAIR_GAP_S, PairedRound, a_first
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand
from lutfarm_jobs.job_file.measuring import BackendChoice, SamplingPlan
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import JobSpec, parse_job

OPERATORS = ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu", "conv_H14_W14_Cin8_Cout16_k1_s1_g1_relu"]
JOB = parse_job(
    {"name": "j", "workloads": [{"operators": OPERATORS}], "devices": ["desk"], "backends": [{"runtime": "onnxruntime"}]},
    source="job",
)


def spec(a: str, b: str, *, rounds: int = 4, job: JobSpec = JOB) -> JobSpec:
    return spec_of(job, parse_side(a, option="--a"), parse_side(b, option="--b"), rounds=rounds, target=0.01)


def planned(a: str, b: str) -> tuple[tuple[Measurement, ...], tuple[tuple[str, str], ...]]:
    wanted = spec(a, b)
    plan = expand(wanted, Sources({}, {}), [str(name) for name in wanted.devices])
    keys = plan_pairs(wanted, plan).keys
    kept = {key for pair in keys for key in pair}
    return tuple(m for m in plan if m.key in kept), keys


def test_sides_say_what_differs_and_the_job_says_the_rest() -> None:
    plan, keys = planned("threads=1", "device=new,runtime=tflite,threads=2")
    assert [key.rsplit("/", 3)[1:3] for key in keys[0]] == [["desk", "onnxruntime-cpu-t1-fp32"], ["new", "tflite-cpu-t2-fp32"]]
    assert len(keys) == 2
    assert len(plan) == 4  # of the eight that two devices and two backends would make


def test_the_same_sides_are_the_same_job_however_long_and_others_are_not() -> None:
    one = spec("threads=1", "threads=2")
    assert one.id == spec("threads=1", "threads=2", rounds=40).id
    assert len({one.id, spec("threads=2", "threads=1").id, spec("threads=1", "threads=3").id, JOB.id}) == 4
    assert one.fresh
    assert JobSpec.model_validate_json(one.model_dump_json()) == one


def test_a_workload_of_one_side_alone_is_named() -> None:
    job = parse_job(
        {
            "name": "j",
            "devices": ["desk"],
            "backends": [{"runtime": "onnxruntime"}, {"runtime": "tflite"}],
            "workloads": [{"operators": OPERATORS[:1]}, {"operators": OPERATORS[1:], "runtimes": ["tflite"]}],
        },
        source="job",
    )
    wanted = spec("runtime=onnxruntime", "runtime=tflite", job=job)
    found = plan_pairs(wanted, expand(wanted, Sources({}, {}), ["desk"]))
    assert len(found.keys) == 1
    assert found.one_sided == {f"operator:{OPERATORS[1]}": "only B runs it"}


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("threads=1", "threads=1", "the same side"),
        ("", "threads=2", "--a says nothing"),
        ("threads=x", "threads=2", "is no whole number"),
        ("colour=red", "threads=2", "is not NAME=VALUE"),
        ("threads=1", "threads=2,threads=3", "is not NAME=VALUE"),
        ("threads=1", "runtime=caffe", "--b: runtime"),
        ("threads=1", "device=../etc", "--b: device"),
    ],
)
def test_what_is_no_side_is_refused_by_its_option(a: str, b: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec(a, b)


def test_a_job_of_several_runtimes_or_devices_has_to_be_told_which() -> None:
    two = parse_job(
        {
            "name": "j",
            "workloads": [{"operators": OPERATORS}],
            "devices": ["desk", "new"],
            "backends": [{"runtime": "onnxruntime"}, {"runtime": "tflite"}],
        },
        source="job",
    )
    with pytest.raises(SpecError, match="--a needs device=NAME"):
        spec("runtime=tflite", "device=desk", job=two)
    with pytest.raises(SpecError, match="--a needs runtime=NAME"):
        spec("device=desk", "device=new", job=two)


def test_a_side_that_may_be_two_of_the_jobs_backends_has_to_be_told_which() -> None:
    threads = JOB.model_copy(update={"backends": tuple(BackendChoice(runtime="tflite", threads=n) for n in (1, 2))})
    with pytest.raises(SpecError, match="--a may be tflite-cpu-t1-fp32 or tflite-cpu-t2-fp32: say threads="):
        spec("device=desk", "threads=2", job=threads)
    assert spec("threads=4", "threads=2", job=threads).compares is not None


def test_what_else_the_job_says_of_when_to_stop_is_passed_on_and_makes_no_other_comparison() -> None:
    sampling = {"minimum_rounds": 9, "stop": "rounds", "device_time_budget_s": 60.0}
    asked = JOB.model_copy(update={"sampling": SamplingPlan.model_validate(sampling | {"rounds": 10})})
    found = spec("threads=1", "threads=2", rounds=20, job=asked)
    assert {name: getattr(found.sampling, name) for name in sampling} == sampling
    assert found.id == spec("threads=1", "threads=2").id
    assert stop_rule(found) is None
    assert pair_rule(found) is None  # all rounds
    assert pair_rule(spec("threads=1", "threads=2")) == StopRule(0.01, 0.95, 2)
    with pytest.raises(SpecError, match="minimum_rounds 9 is more than rounds 4"):
        spec("threads=1", "threads=2", job=asked)


def test_a_budget_ends_it_after_a_whole_pair() -> None:
    plan, keys = planned("device=desk", "device=new")
    state = changed(opened(plan, ("desk", "new")), budget_s=50.0, spent_s={"desk": 60.0})
    half = {keys[0][0]: [PairedRound("r1", 0.0, 1.0, 100.0)], keys[1][0]: [PairedRound("r1", 0.0, 1.0, 100.0)]}
    begun = paired(state, keys, half, now_s=5.0, rule=None)
    assert not begun.over
    step = next_round(begun.job, begun.units, keys, "seed")
    assert step is not None
    assert step.unit == "new"
    whole = half | {key: [PairedRound("r2", 2.0, 3.0, 100.0)] for _, key in keys}
    assert paired(state, keys, whole, now_s=5.0, rule=None).over


def paired(
    state: OneJob,
    keys: Sequence[tuple[str, str]],
    rounds_of: Mapping[str, Sequence[PairedRound]],
    *,
    now_s: float,
    rule: StopRule | None,
) -> OneJob:
    job = paired_job(state.job, state.units, keys, rounds_of, now_s=now_s, rule=rule)
    return OneJob(with_job(state.farm, job))


def opened(plan: tuple[Measurement, ...], units: tuple[str, ...], rounds: int = 4) -> OneJob:
    progress_of = {m.key: MeasurementProgress(probe=Probe(m.key, m.device, {}, 0.0, iteration_ns=1000)) for m in plan}
    state = begin(plan, units, rounds=rounds, progress_of=progress_of)
    return changed(state, units={name: replace(unit, opened=True, machine_id="m") for name, unit in state.units.items()})


def test_each_pair_is_finished_before_the_next_begins_and_no_process_is_too_many() -> None:
    plan, keys = planned("device=desk", "device=new")
    state, rounds_of = opened(plan, ("desk", "new")), {m.key: [] for m in plan}
    order: list[str] = []
    now_s = 0.0
    while (step := next_round(state.job, state.units, keys, "seed")) is not None:
        assert isinstance(step, MeasureThese)
        assert set(step.keys) == {key for key in rounds_of if f"/{step.unit}/" in key}
        order.append(step.unit)
        for key in step.keys:
            rounds_of[key].append(PairedRound(f"r{len(order)}", now_s, now_s + 1, 100.0))
        now_s += 2
        state = paired(state, keys, rounds_of, now_s=now_s, rule=StopRule(1e-9))
    assert [order[at : at + 2] for at in range(0, 8, 2)] == [
        ["desk", "new"] if a_first("seed", pair) else ["new", "desk"] for pair in range(4)
    ]
    assert state.over


def test_half_a_pair_waits_for_its_partner_and_is_void_the_next_day() -> None:
    plan, keys = planned("device=desk", "device=new")
    (a, b), *_ = keys
    rounds_of = {a: [PairedRound("r1", 0.0, 1.0, 100.0)]}
    soon = paired(opened(plan, ("desk", "new")), keys, rounds_of, now_s=5.0, rule=StopRule(0.01))
    assert (soon.progress(a).complete, soon.progress(b).complete) == (1, 0)
    found = next_round(soon.job, soon.units, keys, "seed")
    assert found is not None
    assert (found.unit, found.keys) == ("new", (b,))
    late = paired(soon, keys, rounds_of, now_s=2.0 + PAIR_GAP_S, rule=StopRule(0.01))
    assert (late.progress(a).complete, late.progress(b).complete) == (0, 0)


def test_pairs_that_never_come_close_in_time_end_all_the_same() -> None:
    plan, keys = planned("device=desk", "device=new")
    far = {key: [PairedRound(f"{key}{n}", 1e4 * n, 1e4 * n + 1, 100.0) for n in range(15)] for key in keys[0][:1]}
    state = paired(opened(plan, ("desk", "new")), keys, far, now_s=1e9, rule=StopRule(0.01))
    assert set(state.plan) == set(keys[1])


def test_it_is_enough_once_every_ratio_is_narrow_and_not_in_the_middle_of_a_pair() -> None:
    plan, keys = planned("device=desk", "device=new")

    def after(pairs: int, *, lone: bool = False, wobble: float = 0.0) -> OneJob:
        rounds_of = {
            key: [
                PairedRound(f"r{side}{n}", 10.0 * n + side, 10.0 * n + side + 0.5, 100.0 * (1 + wobble * (n % 2)))
                for n in range(pairs + (lone and side == 0))
            ]
            for pair in keys
            for side, key in enumerate(pair)
        }
        return paired(opened(plan, ("desk", "new"), 20), keys, rounds_of, now_s=10.0 * pairs, rule=StopRule(0.01))

    assert after(8).over
    assert after(8).rounds == 8
    assert not after(6).over  # too few to say what the spread is of all together
    assert not after(9).over  # half a block
    assert not after(8, lone=True).over


def came_to(**other: object) -> Comparison:
    one = WorkloadRatio("operator:x", 100.0, 101.0, 1.01, 1.0, 1.02, 8, "p25_quiet", differs=False, slower=False)
    found = Comparison("j", "desk", "new", (one,), 1.01, 1.0, 1.02, 8, 0.9, 0.03, "not slower", None, 0, {})
    return replace(found, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (came_to(), "90 % interval 1.0000 - 1.0200, over 8 pairs"),
        (came_to(left_out={"operator:y": "failed on B: OutOfMemory"}), "left out: operator:y: failed on B: OutOfMemory"),
        (came_to(left_out={"operator:y": "failed"}, verdict="undecided"), "1 of 2 workloads are left out, and nothing is known"),
        (
            came_to(workloads=(replace(came_to().workloads[0], flags=("contended",)),)),
            "a busy machine measured 1 of 1 workloads (contended)",
        ),
        (came_to(high=1.04, verdict="undecided", rounds_to_settle=5), "about 5 more rounds would settle it"),
    ],
)
def test_the_words_say_what_the_numbers_are_and_what_is_left_out(found: Comparison, said: str) -> None:
    assert said in "\n".join(words(found))


def test_a_side_that_is_out_of_work_ends_it() -> None:
    plan, keys = planned("device=desk", "device=new")
    state = opened(plan, ("desk", "new"))
    state = changed(state, units={**state.units, "new": replace(state.units["new"], out="lost")})
    assert paired(state, keys, {}, now_s=0.0, rule=StopRule(0.01)).over


def test_enough_by_verdicts_of_then_is_over_only_after_all_were_judged_by_what_is_known_at_the_end() -> None:
    """The rounds looked alike as they arrived; judged anew one side differs from pair to pair, so the job goes on."""
    plan, keys = planned("device=desk", "device=new")
    state = opened(plan, ("desk", "new"), 20)

    def known(wobble: float) -> dict[str, dict[str, PairedRound]]:
        return {
            key: {
                f"{key}{n}": PairedRound(
                    f"r{side}{n}", 10.0 * n + side, 10.0 * n + side + 0.5, 100.0 * (1 + wobble * side * (n % 2))
                )
                for n in range(8)
            }
            for pair in keys
            for side, key in enumerate(pair)
        }

    def judged(strategy: Strategy, job: JobProgress, wobble: float) -> tuple[Strategy, JobProgress]:
        return strategy.after(job, state.units, JobNews(paired_rounds=known(wobble)), 80.0)

    def next_of(strategy: Strategy, job: JobProgress) -> Step | None:
        return strategy.next(job, state.units, ["desk", "new"], 80.0)

    strategy, before = judged(PairStrategy(keys, "seed", StopRule(0.01)), state.job, 0.0)
    assert not over(before, state.units)
    assert next_of(strategy, before) is None
    assert strategy.wants_rounds(before, state.units, []) == []  # no device has said what it is here
    _, alike = judged(strategy, before, 0.0)
    assert over(alike, state.units)
    again, differing = judged(strategy, before, 0.5)
    assert not over(differing, state.units)
    assert next_of(again, differing) is not None


def test_half_a_pair_goes_before_every_other_job_and_a_whole_one_does_not() -> None:
    plan, keys = planned("device=desk", "device=new")
    strategy = PairStrategy(keys, "seed", None)
    state = opened(plan, ("desk", "new"))
    assert not strategy.urgent(state.job, state.units)
    half = {key: [PairedRound("r1", 0.0, 1.0, 100.0)] for key, _ in keys}
    assert strategy.urgent(paired(state, keys, half, now_s=5.0, rule=None).job, state.units)
    whole = half | {key: [PairedRound("r2", 2.0, 3.0, 100.0)] for _, key in keys}
    assert not strategy.urgent(paired(state, keys, whole, now_s=5.0, rule=None).job, state.units)
