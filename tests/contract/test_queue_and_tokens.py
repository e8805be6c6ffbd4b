"""What every store keeps for a served farm: what is still to do, and who may come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.store_kit import DESK, HELLO, JOB, PLAN, QUEUED, TOKEN, run

from lutfarm.records.device_state import DeviceEvent, DeviceRecord
from lutfarm.records.job import JobState
from lutfarm.records.queued_job import QueuedJob
from lutfarm.store import Store
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.round import Lease


def queued(store: Store, number: int, submitted_s: float, *, plan: bool = True) -> QueuedJob:
    job = replace(JOB, id=f"job-{number}", state="queued", user="ann", priority=number)
    assert store.open_job(job, PLAN if plan else ()) == job
    entry = QueuedJob(job.id, f"/srv/{number}", submitted_s)
    store.enqueue(entry)
    return entry


def test_what_is_queued_comes_back_the_oldest_first(store: Store, reopen: Callable[[], Store]) -> None:
    newest, oldest = queued(store, 1, 30.0), queued(store, 3, 10.0)
    same = queued(store, 2, 10.0)
    assert store.queue() == [same, oldest, newest]
    assert reopen().queue() == [same, oldest, newest]
    whole = replace(QUEUED, job_id="job-1", ending="ann: no longer wanted")
    store.enqueue(whole)
    assert store.queue() == [same, oldest, whole]
    store.dequeue("job-2")
    store.dequeue("job-2")
    store.dequeue("no such job")
    assert store.queue() == [oldest, whole]


def test_a_job_that_is_not_stored_is_not_queued(store: Store) -> None:
    with pytest.raises(SpecError, match=r"no job 'job-7' is stored: open it"):
        store.enqueue(replace(QUEUED, job_id="job-7"))
    assert store.queue() == []


def test_a_job_is_put_off_and_says_why(store: Store) -> None:
    one, other = queued(store, 1, 1.0), queued(store, 2, 2.0)
    store.put_off("job-1", 500.0, "board-1 is cooling")
    assert store.queue() == [replace(one, not_before_s=500.0, waiting="board-1 is cooling"), other]
    store.put_off("job-1", 0.0, "")
    store.put_off("no such job", 5.0, "x")
    assert store.queue() == [one, other]


def test_who_asks_first_that_a_job_ends_says_why(store: Store) -> None:
    one, other = queued(store, 1, 1.0), queued(store, 2, 2.0)
    assert store.ask_to_end("job-1", "ann: a typing error")
    assert store.ask_to_end("job-1", "bob: me too")
    assert store.queue() == [replace(one, ending="ann: a typing error"), other]
    assert store.ask_to_end("job-2", "")
    assert store.queue()[1].ending  # without a word it ends as well
    assert not store.ask_to_end("no such job", "x")
    store.dequeue("job-1")
    assert not store.ask_to_end("job-1", "late")


@pytest.mark.parametrize("state", ["queued", "open", "complete", "failed", "cancelled"])
def test_a_job_has_any_of_its_states(store: Store, state: JobState) -> None:
    opened = store.open_job(replace(JOB, user="ann", priority=-3), PLAN)
    store.close_job(JOB.id, state, "why")
    found = store.job(JOB.id)
    assert found is not None
    assert found[0] == replace(opened, state=state, reason="why", user="ann", priority=-3)


def test_a_queued_job_is_not_removed(store: Store) -> None:
    queued(store, 1, 1.0)
    with pytest.raises(SpecError, match=r"job-1 is in the queue .* cancel it first"):
        store.remove_job("job-1", 100.0)
    assert store.job("job-1") is not None
    store.dequeue("job-1")
    assert store.remove_job("job-1", 100.0).measurements == 2


def test_tokens_come_back_by_their_digest(store: Store, reopen: Callable[[], Store]) -> None:
    older = replace(TOKEN, id="t0", hashed="cd" * 64, created_s=1.0, expires_s=None, role="admin")
    store.put_token(TOKEN)
    store.put_token(older)
    assert store.tokens() == [older, TOKEN]
    other = reopen()
    assert other.token_of(TOKEN.hashed) == TOKEN
    assert other.token_of(older.hashed) == older
    for unknown in ("", "ab" * 31, "AB" * 32, "%", "t1"):
        assert store.token_of(unknown) is None


def test_a_revoked_token_stays_and_says_when(store: Store) -> None:
    store.put_token(TOKEN)
    assert store.revoke_token("t1", 70.0)
    assert not store.revoke_token("t1", 80.0)
    assert not store.revoke_token("t2", 80.0)
    assert store.token_of(TOKEN.hashed) == replace(TOKEN, revoked_s=70.0)


@pytest.mark.parametrize("hashed", ["", "lf_s3cret", "AB" * 32, "ab" * 31, "ab" * 65, "ab" * 32 + "\n"])
def test_what_is_no_digest_is_not_stored_and_not_said(store: Store, hashed: str) -> None:
    with pytest.raises(SpecError, match="no digest") as refused:
        store.put_token(replace(TOKEN, hashed=hashed))
    assert not hashed or hashed not in str(refused.value)
    assert store.tokens() == []


@pytest.mark.parametrize("other", [replace(TOKEN, hashed="ef" * 32), replace(TOKEN, id="t2")])
def test_a_token_is_not_replaced(store: Store, other: object) -> None:
    store.put_token(TOKEN)
    with pytest.raises(SpecError, match="already"):
        store.put_token(other)  # type: ignore[arg-type]
    assert store.tokens() == [TOKEN]


def test_a_removed_device_is_forgotten_and_what_was_measured_there_stays(store: Store, lease: Lease) -> None:
    done = run()
    store.put_device(DESK)
    store.put_device(replace(DESK, name="other"))
    store.put_hello("desk", HELLO, 5.0)
    store.step_device("desk", DeviceEvent("held", "new fan"), 6.0)
    store.commit([done], lease, JOB.id)
    store.release(lease)
    store.remove_device("desk", 200.0)
    assert store.device("desk") is None
    assert store.hello("desk") is None
    assert [device.name for device in store.devices()] == ["other"]
    assert store.device_record("desk", 201.0) == DeviceRecord("desk", "new")
    assert [(t.at_s, t.event, t.before, t.after) for t in store.device_history("desk")] == [
        (6.0, "held", "new", "maintenance"),
        (200.0, "removed", "maintenance", "new"),
    ]
    assert list(store.runs(JOB.id)) == [done]
    assert len(store.canary_rounds("desk", PLAN[0].backend.key, "b1-steady")) == 1
    store.put_device(DESK)  # another one of that name: whoever had a lease on the first has none on it
    again = store.acquire("desk", owner=lease.owner, holder="ann", now_s=202.0, ttl_s=60.0)
    assert isinstance(again, Lease)
    assert again.token > lease.token


def test_a_device_that_is_used_is_not_removed(store: Store, lease: Lease) -> None:
    store.put_device(DESK)
    with pytest.raises(SpecError, match=r"desk is in use by ann: .* lutfarm device retire desk"):
        store.remove_device("desk", 101.0)
    store.release(lease)
    queued(store, 8, 1.0)
    with pytest.raises(SpecError, match="job-8 in the queue would measure on desk: cancel"):
        store.remove_device("desk", 102.0)
    store.dequeue("job-8")
    queued(store, 9, 1.0, plan=False)
    store.remove_device("desk", 103.0)
    with pytest.raises(SpecError, match="no device is called 'desk'"):
        store.remove_device("desk", 104.0)


def test_what_was_taken_waits_for_nothing_and_keeps_who_asked_to_end_it(store: Store) -> None:
    entry = queued(store, 1, 10.0)
    store.enqueue(replace(entry, retry_failed=True))
    store.put_off("job-1", 20.0, "its device is lost")
    assert store.ask_to_end("job-1", "no longer wanted")
    store.taken("job-1")
    store.taken("no such job")
    assert store.queue() == [replace(entry, not_before_s=20.0, ending="no longer wanted")]
