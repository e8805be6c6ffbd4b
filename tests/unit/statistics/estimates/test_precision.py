"""Which measurements may stop: levels in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lut_kit import manifest, measurement
from tests.schedule_kit import begin
from tests.store_kit import run

from lutfarm.lut.building.build_table import build_table
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.statistics import Target, priors_of, sample, summarize
from lutfarm.statistics.estimates.precision import (
    LEAST_ROUNDS,
    LEAST_ROUNDS_ALONE,
    ProcessEstimate,
    Reached,
    StopRule,
    process_estimate_of,
    reached,
    rounds_needed,
)
from lutfarm_jobs.run import Run, Slice, ToolSummary

RULE = StopRule()


def levels(values: Sequence[float], statistic: str = "p25_quiet") -> list[ProcessEstimate]:
    return [ProcessEstimate(f"r{number}", value, statistic) for number, value in enumerate(values)]  # type: ignore[arg-type]


def key(name: str) -> str:
    return f"latency/operator:{name}/desk/onnxruntime-cpu-t1-fp32/b1-steady"


def drawn(entries: int, processes: int, spread: float, seed: int = 0, shared: float = 0.0) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    common = rng.normal(0, shared, processes)
    return {
        key(f"e{number}"): list(100_000.0 * (number + 1) * np.exp(rng.normal(0, spread, processes) + common))
        for number in range(entries)
    }


def process(key: str, number: int, estimate_ns: float, *, quiet: bool = True, gated: bool = True) -> Run:
    piece = Slice(
        0, (round(estimate_ns),) * 4, 100, 100, quiet=quiet, gated=gated, involuntary_switches=0, waited_ns=0, wall_ns=1, cpu_ns=1
    )
    return replace(
        run(key),
        id=f"{number:032x}",
        round_id=f"r{number}",
        started_s=float(number),
        slices=(piece,) * 4,
        canary_reference_ns=100,
        reference_provisional=False,
    )


@pytest.mark.parametrize("seed", range(4))
def test_it_says_what_the_table_will_say(seed: int) -> None:
    by_key = {key: values[: 3 + index % 4] for index, (key, values) in enumerate(drawn(12, 6, 0.02, seed, 0.01).items())}
    found = reached({key: levels([round(v) for v in values]) for key, values in by_key.items()}, RULE)
    samples = [sample([process(key, n, v) for n, v in enumerate(values)]) for key, values in by_key.items()]
    whole = [one for one in samples if one]
    for key, one, prior in zip(by_key, whole, priors_of(whole), strict=True):
        interval = summarize(one, Target(), prior_spread=prior.spread, prior_df=prior.df).interval
        assert found[key].relative_half_width == pytest.approx(interval.relative_half_width)


@pytest.mark.parametrize("rounds", [2, 3, 5, 7, 8])
@pytest.mark.parametrize("done", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("entries", [1, 12])
@pytest.mark.parametrize("spread", [0.001, 0.01, 0.05])
def test_a_running_job_its_end_and_its_table_call_the_same_measurements_precise(
    rounds: int, done: int, entries: int, spread: float
) -> None:
    plan = [measurement(f"conv{number}") for number in range(entries)]
    values = list(drawn(entries, min(done, rounds), spread, seed=done).values())
    runs = [process(m.key, n, v) for m, found in zip(plan, values, strict=True) for n, v in enumerate(found)]
    rule = StopRule(0.02, 0.95, 2, rounds)
    state = begin(
        plan,
        ["desk"],
        rounds=rounds,
        rule=rule,
        progress_of={
            m.key: MeasurementProgress(
                complete=len(found), estimates=tuple(level for r in runs if r.key == m.key and (level := process_estimate_of(r)))
            )
            for m, found in zip(plan, values, strict=True)
        },
    )
    table = build_table(plan, runs, manifest=manifest(), target=Target(0.02, 0.95, 2, rounds))
    assert {e.key for e in table.entries if "converged" in e.flags} == {key for key in state.plan if state.precise(key)}


@pytest.mark.parametrize(("rounds", "done", "precise"), [(5, 5, True), (5, 4, False), (8, 5, False), (8, 7, True), (2, 2, True)])
def test_a_lone_measurement_is_precise_with_all_its_rounds_or_with_seven(rounds: int, done: int, *, precise: bool) -> None:
    found = reached({"e": levels([1000.0, 1000.1] * 5)[:done]}, StopRule(rounds=rounds))["e"]
    assert found.enough(StopRule(rounds=rounds)) is precise


def test_least_counts_hold_however_well_processes_agree() -> None:
    values = drawn(12, LEAST_ROUNDS, 0.001)
    assert all(one.enough(RULE) for one in reached({key: levels(found) for key, found in values.items()}, RULE).values())
    fewer = {key: levels(found[:-1]) for key, found in values.items()}
    assert not any(one.settled for one in reached(fewer, RULE).values())
    alone = {"e": levels([1000.0] * (LEAST_ROUNDS_ALONE - 1))}
    assert not reached(alone, RULE)["e"].settled
    assert reached({"e": levels([1000.0] * LEAST_ROUNDS_ALONE)}, RULE)["e"].enough(RULE)


def test_a_job_may_ask_for_more_processes_and_not_for_fewer() -> None:
    many = {key: levels(found) for key, found in drawn(12, 4, 0.001).items()}
    assert all(one.settled for one in reached(many, RULE).values())
    assert not any(one.settled for one in reached(many, replace(RULE, least_rounds=5)).values())
    few = {key: found[:2] for key, found in many.items()}
    assert not any(one.settled for one in reached(few, replace(RULE, least_rounds=1)).values())


def test_entries_that_move_as_one_are_no_witnesses_of_each_other() -> None:
    values = {key: levels(found) for key, found in drawn(12, LEAST_ROUNDS, 0.0, shared=0.001).items()}
    assert not any(one.settled for one in reached(values, RULE).values())


def test_of_networks_of_one_sweep_the_shift_of_each_process_is_judged_as_one() -> None:
    """Each network alone would have a variance of its own by chance; the shift is told from all of them."""
    values = drawn(10, 6, 0.01, shared=0.01)
    gated = [one.relative_half_width for one in reached({k: levels(v) for k, v in values.items()}, RULE).values()]
    swept = [one.relative_half_width for one in reached({k: levels(v, "p10_swept") for k, v in values.items()}, RULE).values()]
    assert 1 < max(swept) / min(swept) < max(gated) / min(gated)


def test_levels_of_an_older_kind_do_not_count() -> None:
    mixed = [*levels([5000.0] * 5, "p25_quiet"), *levels([1000.0] * 2, "p10_swept")]
    assert reached({"e": mixed}, RULE) == reached({"e": mixed[5:]}, RULE)


def test_what_has_no_level_is_left_out() -> None:
    assert reached({"e": []}, RULE) == {}


def test_what_a_run_says() -> None:
    assert process_estimate_of(process(key("k"), 1, 1000.0)) == ProcessEstimate("r1", 1000.0, "p25_quiet")
    assert process_estimate_of(process(key("k"), 1, 1000.0, quiet=False)) is None
    assert process_estimate_of(process(key("k"), 1, 1000.0, gated=False)) == ProcessEstimate("r1", 1000.0, "p10_swept")
    assert process_estimate_of(process(key("k"), 1, 1000.0, quiet=False, gated=False)) is None
    assert process_estimate_of(replace(process(key("k"), 1, 1000.0), status="truncated")) is None
    tool = replace(process(key("k"), 1, 1.0), slices=(), summary=ToolSummary("tool_mean", 777, 50, 1, 2))
    assert process_estimate_of(tool) == ProcessEstimate("r1", 777.0, "tool_mean")


@given(st.integers(0, 20), st.integers(1, 20), st.none() | st.floats(0.0001, 10.0), st.booleans())
def test_rounds_needed_never_pass_the_most_and_never_promise_nothing(
    done: int, most: int, width: float | None, settled: bool
) -> None:
    now = None if width is None else Reached(width, settled)
    needed = rounds_needed(now, RULE, done=done, most=most)
    assert 0 <= needed <= max(most, LEAST_ROUNDS)
    if now is not None and now.enough(RULE):
        assert needed == 0
    elif done < most:
        assert needed >= 1
    else:
        assert needed == 0


def test_halving_an_interval_takes_four_times_the_processes() -> None:
    assert rounds_needed(Reached(0.04, settled=True), RULE, done=4, most=100) == 12


def test_what_is_just_too_wide_needs_one_process_more() -> None:
    assert rounds_needed(Reached(1.01 * RULE.relative_half_width, settled=True), RULE, done=10, most=100) == 1
    assert rounds_needed(Reached(RULE.relative_half_width, settled=False), RULE, done=10, most=100) == 1


@pytest.mark.parametrize(("settled", "width", "enough"), [(True, 0.01, True), (True, 0.03, False), (False, 0.01, False)])
def test_a_narrow_interval_of_too_few_processes_is_not_enough(settled: bool, width: float, enough: bool) -> None:
    assert Reached(width, settled).enough(RULE) is enough
