"""Several jobs may have one name: which one is meant is said, and how the others are reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store_kit import JOB
from typer.testing import CliRunner

from lutfarm.cli import app
from lutfarm.cli.terminal.which_job import job_meant
from lutfarm.store import Store, open_store
from lutfarm_jobs.errors import SpecError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as found:
        for number in range(1, 6):
            found.open_job(replace(JOB, id=f"twice-{number}", name="twice", created_s=float(number)), ())
        found.open_job(replace(JOB, id="once-1", name="once", created_s=3.0), ())
        yield found


def test_of_several_jobs_of_a_name_the_newest_is_meant_and_the_others_are_named(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job_meant(store, "twice")[0].id == "twice-5"
    out, said = capsys.readouterr()
    assert out == "", "standard output is for data"
    assert "5 jobs are called twice: this is the newest, twice-5; by its id you have twice-4, twice-3, twice-2 and 1 more" in said


@pytest.mark.parametrize(("name", "meant"), [("twice-2", "twice-2"), ("once", "once-1"), ("once-1", "once-1"), ("onc", "once-1")])
def test_one_that_is_no_other_is_taken_without_a_word(
    store: Store, capsys: pytest.CaptureFixture[str], name: str, meant: str
) -> None:
    assert job_meant(store, name)[0].id == meant
    assert capsys.readouterr() == ("", "")


def test_one_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(SpecError, match="no job is called 'twi'; see lutfarm job list"):
        job_meant(store, "twi")


def test_only_what_is_named_in_full_is_removed(store: Store, tmp_path: Path) -> None:
    def remove(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["job", "remove", *words, "--home", str(tmp_path)], terminal_width=200)
        return result.exit_code, result.output

    assert remove("twice") == (2, "error: 5 jobs are called twice: remove one by its id; see lutfarm job list\n")
    assert remove("onc") == (2, "error: 'onc' is only the start of once-1; what is removed is named in full\n")
    assert remove("none") == (2, "error: no job is called 'none'; see lutfarm job list\n")
    assert len(store.jobs()) == 6
    assert remove("once") == (0, "removed once-1: 0 measurements of its plan, 0 runs, 0 probes\n")
    code, output = remove("twice-3", "--json")
    removed = {"measurements": 0, "runs": 0, "runs_kept": 0, "probes": 0}
    assert (code, json.loads(output)) == (0, {"job": "twice-3", "removed": removed})
    assert [job.id for job, _ in store.jobs()] == ["twice-5", "twice-4", "twice-2", "twice-1"]
