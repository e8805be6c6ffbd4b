"""What keeps a dispatcher running, with a dispatcher that does as it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.execution import intake_note
from lutfarm.execution.intake_note import IntakeNote
from lutfarm.home import Home
from lutfarm.records.job import Job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.server import job_deaths
from lutfarm.server import keeper as keeping
from lutfarm.server.dispatcher import RAY_FILE
from lutfarm.server.job_deaths import MOST_DEATHS, JobDeaths
from lutfarm.server.keeper import Keeper
from lutfarm.store import Store, open_store


def test_a_dispatcher_that_died_leaves_no_word_of_its_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hosts that ask before there is another one would try to join a Ray that is gone."""
    dispatcher = tmp_path / "dispatcher"
    whereabouts = '{"address": "10.0.0.1:6379", "token": "a"}'
    dispatcher.write_text(f"#!/bin/sh\ncd '{tmp_path}'\necho '{whereabouts}' > {RAY_FILE}\ncp {RAY_FILE} ran\nkill -KILL $$\n")
    dispatcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dispatcher))
    for name in ("PAUSE_S", "PAUSE_MOST_S"):
        monkeypatch.setattr(keeping, name, 3600.0)
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "ray") as keeper:
        kit.until((tmp_path / "ran").exists, "it never ran")
        kit.until(lambda: keeper.ray is None, "the file stayed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A home with two jobs in the queue."""
    with open_store(tmp_path / "home") as found:
        for number, name in enumerate(("huge", "small")):
            found.open_job(Job(name, name, "{}", 1.0 + number, "queued"), ())
            found.enqueue(QueuedJob(name, str(tmp_path), 1.0 + number))
        yield found


@pytest.fixture
def deaths(store: Store, tmp_path: Path) -> JobDeaths:
    return JobDeaths(store, IntakeNote(tmp_path / "home" / intake_note.FILE), tmp_path / "home" / job_deaths.FILE)


Dispatcher = Callable[[str], None]


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dispatcher:
    """Stands for the real one: a shell script, begun anew as soon as it has ended."""
    for name in ("PAUSE_S", "PAUSE_MOST_S"):
        monkeypatch.setattr(keeping, name, 0.0)

    def script(text: str) -> None:
        path = tmp_path / "dispatcher"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\necho $$ >> ran\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return script


def ran(folder: Path) -> list[int]:
    """The processes that it was, one after the other."""
    return [int(line) for line in (folder / "ran").read_text().split()] if (folder / "ran").exists() else []


def state(store: Store, job_id: str) -> tuple[str, str]:
    found = store.job(job_id)
    assert found is not None
    return found[0].state, found[0].reason


def test_a_job_at_whose_reading_dispatchers_die_is_ended_and_the_others_stay(
    store: Store, deaths: JobDeaths, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    """As the dispatcher does: it writes down what it reads, and is killed, until that job is no longer in the queue."""
    note = json.dumps({"job": "huge", "doing": "read"})
    dispatcher(f"test -e ended && exec sleep 3600\necho '{note}' > home/{intake_note.FILE}\nkill -KILL $$")

    def died(seen: str) -> None:
        deaths.died(seen)
        if state(store, "huge")[0] == "failed":
            (tmp_path / "ended").touch()

    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "local", died=died):
        kit.until(lambda: len(ran(tmp_path)) > MOST_DEATHS, "it was not tried often enough")
    became, why = state(store, "huge")
    assert became == "failed"
    assert f"died {MOST_DEATHS} times while the job was read and planned" in why
    assert "SIGKILL" in why
    assert "memory" in why
    assert [entry.job_id for entry in store.queue()] == ["small"]


def test_deaths_while_nothing_is_taken_in_are_nobodys(
    store: Store, deaths: JobDeaths, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    dispatcher("kill -KILL $$")
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "local", died=deaths.died):
        kit.until(lambda: len(ran(tmp_path)) > MOST_DEATHS, "it was not started often enough")
    assert {state(store, name)[0] for name in ("huge", "small")} == {"queued"}


def test_deaths_are_counted_over_servers_and_for_each_job(store: Store, deaths: JobDeaths) -> None:
    for name in ("huge", "small", "huge", "small"):
        deaths.note.path.write_text(json.dumps({"job": name, "doing": "built"}))
        deaths.died("with exit code 1")
    again = JobDeaths(store, deaths.note, deaths.path)
    deaths.note.path.write_text(json.dumps({"job": "huge", "doing": "built"}))
    again.died("with exit code 1")
    assert state(store, "huge")[0] == "failed"
    assert "while models of the job were built" in state(store, "huge")[1]
    assert state(store, "small")[0] == "queued"


@pytest.mark.parametrize("text", ["", "null", "[]", '{"job": 5, "doing": "read"}', '{"job": "huge", "doing": "?"}', "\0"])
def test_a_note_that_says_nothing_is_nobodys(deaths: JobDeaths, text: str) -> None:
    deaths.note.path.write_text(text)
    deaths.died("with exit code 1")
    assert not deaths.path.exists()


@pytest.mark.parametrize("asks", [False, True])
def test_a_dispatcher_that_stands_still_is_replaced(
    monkeypatch: pytest.MonkeyPatch, dispatcher: Dispatcher, tmp_path: Path, asks: bool
) -> None:
    monkeypatch.setattr(keeping, "STARTS_S", 3600.0 if asks else 0.5)
    dispatcher("exec sleep 3600")
    told: list[str] = []
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "local", hangs_s=0.5, died=told.append) as keeper:
        kit.until(lambda: bool(ran(tmp_path)), "it never ran")

        def replaced() -> bool:
            if asks:  # one question in each life: the first it is told by
                with keeper.asked():
                    pass
                kit.until(lambda: len(told) > 0, "nobody noticed")
            return len(ran(tmp_path)) > 1

        kit.until(replaced, "no other one was started")
    assert "stood still" in told[0]
    assert not Path(f"/proc/{ran(tmp_path)[0]}").exists()


def test_one_that_asks_or_whose_question_takes_long_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    looks: list[float] = []
    monkeypatch.setattr(keeping, "LOOKS_S", 0.01)
    dispatcher("exec sleep 3600")
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "local", hangs_s=0.0) as keeper, keeper.asked():
        kit.until(lambda: bool(ran(tmp_path)), "it never ran")
        kit.until(lambda: looks.append(0.0) or len(looks) > 20, "time goes by")
        assert len(ran(tmp_path)) == 1


def test_what_a_dispatcher_was_at_that_was_told_to_end_is_forgotten(
    deaths: JobDeaths, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    note = json.dumps({"job": "huge", "doing": "read"})
    dispatcher(f"echo '{note}' > home/{intake_note.FILE}\ntouch wrote\nexec sleep 3600")
    with Keeper(tmp_path / "store", Home(tmp_path / "home"), "local", died=deaths.died):
        kit.until((tmp_path / "wrote").exists, "it never ran")
    assert deaths.note.left() is None
    assert not deaths.path.exists()
