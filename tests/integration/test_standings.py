"""How often the store is asked for those who listen to jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lutfarm.records.job import Job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.server.standings import Standings
from lutfarm.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as found:
        for name in ("one", "two", "over"):
            found.open_job(Job(name, name, "{}", 1.0, "queued"), ())
            if name != "over":
                found.enqueue(QueuedJob(name, str(tmp_path), 1.0))
        yield found


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in ("job", "queue"):
        original = getattr(type(store), name)

        def counted(*args: Any, original: Any = original, name: str = name) -> Any:
            found[name] += 1
            return original(*args)

        monkeypatch.setattr(type(store), name, counted)
    return found


def test_all_who_listen_to_one_job_cost_one_question_and_all_jobs_one_queue(store: Store, asked: Counter[str]) -> None:
    standings = Standings(store)
    for _ in range(100):
        for job_id in ("one", "two"):
            found = standings.of(job_id, oldest_s=3600.0)
            assert found is not None
            assert found.queue is not None
    assert asked == {"job": 2, "queue": 1}


def test_what_is_too_old_is_read_again(store: Store) -> None:
    standings = Standings(store)
    assert standings.of("one", oldest_s=0.0) is not None
    store.dequeue("one")
    found = standings.of("one", oldest_s=0.0)
    assert found is not None
    assert found.queue is None


def test_one_that_came_since_the_queue_was_read_is_in_it(store: Store, tmp_path: Path) -> None:
    standings = Standings(store)
    standings.of("one", oldest_s=3600.0)
    store.enqueue(QueuedJob("over", str(tmp_path), 2.0))
    found = standings.of("over", oldest_s=3600.0)
    assert found is not None
    assert found.queue is not None


def test_a_job_that_is_no_more_is_none(store: Store) -> None:
    assert Standings(store).of("nix", oldest_s=0.0) is None
