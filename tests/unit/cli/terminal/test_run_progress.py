"""What a running job says of itself where no terminal is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.schedule_kit import OneJob, after, begin, changed, out_of_work, resumed

from lutfarm.agent_pool.interface import Done, Opened, Waiting
from lutfarm.cli.terminal.ending import Judged, report
from lutfarm.cli.terminal.run_progress import RunDisplay, _half_width
from lutfarm.execution.resume import Resumed
from lutfarm.execution.run_job import JobOutcome
from lutfarm.records.fingerprints import disagreement
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload

PLAN = tuple(Measurement(Workload("operator", f"conv{i}"), "desk", Backend("onnxruntime")) for i in range(9))
BOB = "bob@lab: job other, process 7"


def began() -> OneJob:
    return begin(PLAN, ["desk"], rounds=3)


def line(display: RunDisplay, state: OneJob, capsys: pytest.CaptureFixture[str], *events: Opened | Waiting | Done) -> str:
    display._next_line_s = 0.0
    capsys.readouterr()
    now = after(state, events, 1.0)
    display.update(now.job, now.units, events)
    return capsys.readouterr().err


def test_waiting_does_not_look_like_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay()
    display.waiting("desk", BOB)
    held = line(display, began(), capsys, Waiting("o", "desk", BOB))
    assert held == f"9 measurements, desk waits for {BOB}\n"
    assert "9 measurements, opening the devices" in line(RunDisplay(), began(), capsys)
    assert "waits" not in line(display, began(), capsys, Opened("o", "desk", HELLO))
    display.waiting("desk", BOB)
    assert "waits" not in line(display, began(), capsys, Done("o", "desk", ("LinkLost", "gone")))


def test_the_time_that_is_left_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    said = line(RunDisplay(), began(), capsys, Opened("o", "desk", HELLO))
    assert re.match(r"[0-9]+ [a-z0-9 ]*left, 9 measurements, ", said)


def test_a_lost_device_leaves_measurements_that_are_not_done_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    state = out_of_work(began(), "desk", "lost", "ConnectFailed: no route")
    report(JobOutcome(state.job, state.units, (), state.left), Judged(None, "AGAIN", why="gone"), runs_now=0, as_json=False)
    said = capsys.readouterr().err
    assert "0 of 9 measurements done, with all 3 rounds, 0 failed, 9 not done (9 of them with some runs)" in said
    assert "9 measurements wait for devices that are out of work" in said
    lost = JobOutcome(state.job, state.units, tuple(m.key for m in PLAN), state.left)
    report(lost, Judged(None, "AGAIN", why="gone"), runs_now=0, as_json=False)
    assert "9 not done (without any whole run)" in (nothing := capsys.readouterr().err)
    assert "lut export" in said
    assert "lut export" not in nothing


def test_a_job_that_was_complete_says_so_and_how_to_measure_it_anew(capsys: pytest.CaptureFixture[str]) -> None:
    whole = resumed(began(), {m.key: MeasurementProgress(complete=3) for m in PLAN})
    judged = Judged(None, "lutfarm run j.yaml, once you give it another `name`", why="gone")
    report(JobOutcome(whole.job, whole.units, ()), judged, runs_now=0, as_json=False)
    told = f"nothing was measured now: all of it is stored. To measure it anew: {judged.again}"
    assert told in capsys.readouterr().err.replace("\n", " ")
    report(JobOutcome(whole.job, whole.units, ()), judged, runs_now=27, as_json=False)
    report(JobOutcome(began().job, began().units, tuple(m.key for m in PLAN)), judged, runs_now=0, as_json=False)
    assert "nothing was measured now" not in capsys.readouterr().err


@pytest.mark.parametrize(("runs", "said"), [(0, ""), (1, "1 run is judged by"), (18, "18 runs are judged by")])
def test_figures_that_are_others_than_before_are_said_with_why(capsys: pytest.CaptureFixture[str], runs: int, said: str) -> None:
    report(JobOutcome(began().job, began().units, ()), Judged(None, "AGAIN", why="gone", anew=runs), runs_now=0, as_json=False)
    told = capsys.readouterr().err
    assert said in told
    assert ("what the canary has shown since" in told) is bool(runs)


def test_a_width_of_thousands_of_percent_is_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert _half_width(0.0234) == "+-2.3 %"
    assert _half_width(0.99) == "+-99 %"
    assert _half_width(10.4) == "more than +-100 %"


def test_a_result_for_a_program_comes_with_progress_once_it_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay(brief=True)
    display.update(began().job, began().units, ())
    assert capsys.readouterr().err == ""
    assert "9 measurements, opening the devices" in line(display, began(), capsys)


def test_what_is_stored_is_said_once_though_a_device_is_opened_again(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay()
    display.resumed("desk", Resumed({}, own_runs=2, adopted_runs=3))
    first = capsys.readouterr().err
    assert "desk: going on; 2 runs of this job are stored" in first
    assert "desk: reusing 3 runs of other jobs" in first
    display.resumed("desk", Resumed({}, own_runs=5))
    assert capsys.readouterr().err == ""


def test_what_a_device_has_become_since_it_was_opened_first_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay()
    display.resumed("desk", Resumed({}, own_runs=5))
    changed = Resumed({}, outdated_runs=5, outdated=disagreement([("stored", {"os": "1"}), ("today", {"os": "2"})]))
    for often in (1, 0):
        capsys.readouterr()
        display.resumed("desk", changed)
        assert capsys.readouterr().err.count("5 stored runs do not count") == often


def test_why_this_process_measures_is_said_once_something_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay(note="Ray is not installed")
    line(display, began(), capsys, Opened("o", "desk", HELLO))
    display.resumed("desk", Resumed({}, own_runs=5))
    assert "Ray" not in capsys.readouterr().err
    for often in (1, 0):
        display.preparing(0, 2)
        assert capsys.readouterr().err.count("Ray is not installed") == often


def test_results_that_came_too_late_are_said_once_with_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    display, state = RunDisplay(), began()
    assert "dropped" not in line(display, state, capsys)
    late = changed(state, units={"desk": replace(state.units["desk"], dropped=3)})
    assert "desk: 3 late results dropped, as another had the device by then" in line(display, late, capsys)
    assert "dropped" not in line(display, late, capsys)
    more = changed(state, units={"desk": replace(state.units["desk"], dropped=4)})
    assert "desk: 1 late result dropped" in line(display, more, capsys)
