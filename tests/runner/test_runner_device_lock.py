"""The device's lock: who waits, who joins, who is ended."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.runner.conftest import alive, of_type, wait_until

from lutfarm_runner.commands import Lock
from lutfarm_runner.device_lock import Content, DeviceLock, holds, may_take_over, open_lock, parse
from lutfarm_runner.machine.process import started_at
from lutfarm_runner.wire import Refused


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "device.lock")


def ask(path, owner="a", *, farm="farm", token=1, holder=None, **more):
    return {"path": path, "owner": owner, "holder": holder or f"run {owner}", "farm": farm, "token": token, **more}


DONE = {"type": "done", "cancelled": False}


def test_a_second_owner_waits_is_told_for_whom_and_gets_it(start, path):
    first, second = start(), start()
    assert first.ask("lock", **ask(path, "a", farm="f1")) == [DONE]
    second.send("lock", **ask(path, "b", farm="f2"))
    assert second.receive() == {"type": "waiting", "holder": "run a"}
    assert second.receive() == {"type": "waiting", "holder": "run a"}
    first.send("stop")
    assert second.until("done")[-1] == DONE
    assert json.loads(Path(path).read_text())["holder"] == "run b"


def test_one_owner_shares_it_and_it_is_free_after_the_last(start, path):
    first, sibling, other = start(), start(), start()
    assert first.ask("lock", **ask(path, "a", device="one")) == [DONE]
    assert sibling.ask("lock", **ask(path, "a", device="two", token=9)) == [DONE]
    first.send("stop")
    first.process.wait(10)
    other.send("lock", **ask(path, "b", farm="elsewhere"))
    assert other.receive()["type"] == "waiting"
    sibling.send("stop")
    assert other.until("done")[-1] == DONE


def test_a_newer_token_ends_the_older_group(start, bench, path):
    older, newer = start(), start()
    older.ask("lock", **ask(path, "a", token=4, device="desk"))
    older.send("round", **bench.round({}, slicing={"passes": 100_000, "gate_ratio": 1e3}))
    older.until("slice")
    children = older.children()
    events = newer.ask("lock", **ask(path, "b", token=5, device="desk"))
    assert events[-1] == DONE
    assert older.process.wait(10) == -9
    wait_until(lambda: not any(map(alive, children)))


@pytest.mark.parametrize(
    "wanted",
    [{"token": 4}, {"token": 3}, {"token": 5, "farm": "other"}, {"token": 5, "device": "other"}, {"token": 5, "farm": ""}],
)
def test_nobody_else_is_ended(start, path, wanted):
    older, other = start(), start()
    older.ask("lock", **ask(path, "a", token=4, device="desk"))
    other.send("lock", **ask(path, "b", **{"device": "desk", **wanted}))
    assert other.receive()["type"] == "waiting"
    assert older.process.poll() is None


def test_a_forged_content_ends_no_innocent_process(path):
    victim = subprocess.Popen(
        [sys.executable, "-c", "print(input())"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    holder = DeviceLock(Lock(path, "a", "run a", "farm", 1))
    assert holder.attempt() is None
    forged = Content("x", "forged", "farm", 1, "", victim.pid, started_at(victim.pid), 1.0)
    Path(path).write_text(json.dumps(asdict(forged)))
    other = DeviceLock(Lock(path, "b", "run b", "farm", 2))
    assert other.attempt() == forged
    assert victim.communicate(b"it lives\n", timeout=30)[0] == b"it lives\n"
    holder.close()
    other.close()


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"owner": 3}', b"\xff" * 99, b"[" * 20_000, b'{"owner":"a"}'])
def test_unreadable_content_is_an_unknown_holder(path, content):
    holder = DeviceLock(Lock(path, "a", "run a", "farm", 1))
    assert holder.attempt() is None
    Path(path).write_bytes(content)
    other = DeviceLock(Lock(path, "b", "run b", "farm", 2))
    found = other.attempt()
    assert found is not None
    assert found.holder == "unknown holder"
    holder.close()
    assert other.attempt() is None
    other.close()


HELD = {"owner": "o", "holder": "h", "farm": "f", "token": 3, "device": "u", "pid": 77, "pid_start": 5, "since_s": 9.5}


@pytest.mark.parametrize(
    ("field", "least", "most"), [("token", 0, 1 << 62), ("pid", 2, 1 << 31), ("pid_start", 0, 1 << 62), ("since_s", 0, 10**12)]
)
def test_what_the_file_says_is_believed_up_to_its_bounds_and_not_beyond(field, least, most):
    """A board without a clock of its own counts from 0; process 1 and a whole group, 0, are nobody's to end."""
    for value in (least, most):
        assert parse(json.dumps({**HELD, field: value}).encode()) == Content(**{**HELD, field: value})
    for value in (least - 1, most + 1):
        assert parse(json.dumps({**HELD, field: value}).encode()) == Content()


@pytest.mark.parametrize(("field", "limit"), [("owner", 200), ("holder", 500), ("farm", 100), ("device", 200)])
def test_a_word_in_the_file_is_believed_up_to_its_length_and_not_beyond(field, limit):
    assert parse(json.dumps({**HELD, field: "x" * limit}).encode()) == Content(**{**HELD, field: "x" * limit})
    assert parse(json.dumps({**HELD, field: "x" * (limit + 1)}).encode()) == Content()


@pytest.mark.parametrize("missing", sorted(HELD))
def test_of_all_that_the_file_says_the_device_alone_may_be_missing(missing):
    found = parse(json.dumps({name: value for name, value in HELD.items() if name != missing}).encode())
    assert found == (Content(**{**HELD, "device": ""}) if missing == "device" else Content())


def holding(path, *, leader):
    """A process that has the lock, as an older supervisor's would."""
    program = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'a+')\nfcntl.flock(file, fcntl.LOCK_SH)\n"
        "print('held', flush=True)\nprint(input())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=leader
    )
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.parametrize("leader", [True, False])
def test_an_older_process_that_has_this_very_file_open_is_ended_and_the_lock_is_free(path, leader):
    with holding(path, leader=leader) as older:
        content = Content("a", "run a", "farm", 4, "desk", older.pid, started_at(older.pid), 1.0)
        Path(path).write_text(json.dumps(asdict(content)))
        newer = DeviceLock(Lock(path, "b", "run b", "farm", 5, "desk"))
        assert newer.attempt() == content
        assert older.wait(60) == -9
        wait_until(lambda: newer.attempt() is None)
        assert newer.read().holder == "run b"
        newer.close()


@pytest.mark.parametrize("late", [-1, 1, None])
def test_a_process_that_began_at_another_time_than_the_file_says_is_not_ended(path, late):
    """Its number came again."""
    with holding(path, leader=True) as other:
        began = 0 if late is None else started_at(other.pid) + late
        Path(path).write_text(json.dumps(asdict(Content("a", "run a", "farm", 4, "desk", other.pid, began, 1.0))))
        newer = DeviceLock(Lock(path, "b", "run b", "farm", 5, "desk"))
        assert newer.attempt().holder == "run a"
        assert other.communicate(b"it lives\n", timeout=60)[0] == b"it lives\n"
        newer.close()


def test_cancel_ends_the_wait_and_leaves_the_lock_alone(start, path):
    first, second = start(), start()
    first.ask("lock", **ask(path, "a", farm="f1"))
    second.send("lock", **ask(path, "b", farm="f2"))
    second.until("waiting")
    second.send("cancel")
    assert second.until("done")[-1] == {"type": "done", "cancelled": True}
    first.send("stop")
    first.process.wait(10)
    third = start()
    assert third.ask("lock", **ask(path, "c", farm="f3")) == [DONE]


def test_a_second_lock_command_is_refused(start, path):
    session = start()
    session.ask("lock", **ask(path))
    assert of_type(session.ask("lock", **ask(path + "2")), "error")[0]["code"] == "SpecError"


def test_the_file_is_writable_by_all_whatever_the_umask(path):
    before = os.umask(0o077)
    try:
        DeviceLock(Lock(path, "a", "run a", "farm", 1)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o666


def test_links_and_folders_are_refused(start, tmp_path, path):
    target = tmp_path / "target"
    target.write_text("precious")
    Path(path).symlink_to(target)
    os.link(target, path + ".hard")
    for bad in (path, path + ".hard", str(tmp_path), str(tmp_path / "missing" / "lock"), "relative"):
        refused, done = start().ask("lock", **ask(bad))
        assert refused["code"] in ("NotReady", "SpecError")
        assert done == DONE
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("/dev/null", "it is no plain file; correct lock_path"),
        ("/tmp", "Is a directory; correct lock_path"),
        ("/no/such/folder/lock", "No such file or directory; correct lock_path"),
        ("/proc/self/mem", "correct lock_path"),
    ],
)
def test_what_can_be_no_lock_says_to_correct_the_profile_and_not_to_remove_it(start, bad, said):
    refused, done = start().ask("lock", **ask(bad))
    assert refused["code"] == "NotReady"
    assert said in refused["detail"].replace("the lock /dev/null is", "it is")
    assert "remove" not in refused["detail"]
    assert done == DONE


def test_a_pipe_in_its_place_is_refused_at_once_and_told_apart(path):
    os.mkfifo(path)
    with pytest.raises(Refused, match="is no plain file; correct lock_path") as refused:
        open_lock(str(path))
    assert refused.value.code == "NotReady"


def test_a_full_disk_says_so(path, monkeypatch):
    lock = DeviceLock(Lock(path, "a", "run a", "farm", 1))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Refused, match="No space left on device; free space there") as caught:
        lock.attempt()
    assert caught.value.code == "NotReady"
    lock.close()


def test_supervisors_of_one_owner_have_it_together_and_another_after_the_last(path):
    first, sibling = (DeviceLock(Lock(path, "a", "run a", "farm", 1)) for _ in range(2))
    other = DeviceLock(Lock(path, "b", "run b", "elsewhere", 9))
    assert first.attempt() is None
    assert sibling.attempt() is None
    assert other.attempt().holder == "run a"
    first.close()
    assert other.attempt().holder == "run a"
    sibling.close()
    assert other.attempt() is None
    other.close()


def test_who_joins_what_became_anothers_meanwhile_gives_it_back(path, monkeypatch):
    """The owner's last supervisor may end, and another's begin, between looking and joining."""
    first, sibling = (DeviceLock(Lock(path, "a", "run a", "farm", 1)) for _ in range(2))
    assert first.attempt() is None
    flock = DeviceLock._flock

    def late(self, kind):
        if self is sibling and kind == fcntl.LOCK_SH:
            Path(path).write_text(json.dumps({**HELD, "owner": "b", "holder": "run b"}))
        return flock(self, kind)

    monkeypatch.setattr(DeviceLock, "_flock", late)
    assert sibling.attempt() is not None
    monkeypatch.undo()
    first.close()
    other = DeviceLock(Lock(path, "c", "run c", "elsewhere", 1))
    assert other.attempt() is None
    other.close()
    sibling.close()


def test_a_process_whose_files_can_not_be_seen_is_not_proved_to_have_the_lock_open(path):
    """It ended, or is another user's."""
    lock = DeviceLock(Lock(path, "a", "run a", "farm", 1))
    this_file = Path(path).stat()
    assert holds(os.getpid(), this_file)
    assert not holds(999_999_999, this_file)  # beyond the largest number that Linux gives
    lock.close()
    assert not holds(os.getpid(), this_file)


def test_a_removed_file_is_made_again(path):
    first = DeviceLock(Lock(path, "a", "run a", "farm", 1))
    Path(path).unlink()
    assert first.attempt() is None
    assert parse(Path(path).read_bytes()).owner == "a"
    first.close()


def test_of_many_at_once_one_holds_it(path):
    locks = [DeviceLock(Lock(path, str(n), f"run {n}", "", n)) for n in range(8)]
    barrier = threading.Barrier(len(locks))
    got = []

    def compete(lock):
        barrier.wait()
        if lock.attempt() is None:
            got.append(lock.wanted.owner)

    threads = [threading.Thread(target=compete, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) <= 1
    holders = [lock for lock in locks if lock.attempt() is None]
    assert len(holders) == 1
    for lock in locks:
        lock.close()


@pytest.mark.parametrize(
    ("wanted", "found", "allowed"),
    [
        (("f", 2, "u"), ("f", 1, "u"), True),
        (("f", 2, ""), ("f", 1, "u"), True),
        (("f", 2, "u"), ("f", 1, ""), True),
        (("f", 1, "u"), ("f", 1, "u"), False),
        (("f", 2, "u"), ("g", 1, "u"), False),
        (("f", 2, "u"), ("f", 1, "v"), False),
        (("", 2, "u"), ("", 1, "u"), False),
    ],
)
def test_take_over_is_for_an_older_lease_of_the_same_device(wanted, found, allowed):
    farm, token, device = wanted
    content = Content("o", "h", found[0], found[1], found[2], 5, 5, 5.0)
    assert may_take_over(Lock("/x", "p", "h", farm, token, device), content) is allowed


def test_a_missing_folder_says_so(tmp_path):
    missing = str(tmp_path / "no" / "lock")
    said = f"the lock {missing} can't be used: No such file or directory; correct lock_path"
    with pytest.raises(Refused, match=said) as caught:
        DeviceLock(Lock(missing, "a", "h", "f", 1))
    assert caught.value.code == "NotReady"


def test_content_says_since_when(path):
    lock = DeviceLock(Lock(path, "a", "run a", "farm", 7, "desk"))
    lock.attempt()
    content = lock.read()
    assert (content.pid, content.token, content.device) == (os.getpid(), 7, "desk")
    assert content.pid_start == started_at(os.getpid()) > 0
    assert abs(content.since_s - time.time()) < 3600
    lock.close()


def test_a_link_to_a_plain_file_is_refused_and_the_file_left_alone(tmp_path, path):
    (tmp_path / "target").write_text("precious")
    Path(path).symlink_to(tmp_path / "target")
    with pytest.raises(Refused, match=f"the lock {path} can't be used: it is a symbolic link; remove it"):
        DeviceLock(Lock(path, "a", "run a", "farm", 1)).attempt()
    assert (tmp_path / "target").read_text() == "precious"


def test_who_wrote_between_exclusive_and_shared_has_it(path, monkeypatch):
    """From exclusive to shared is not atomic: another may pass through in between, and is in."""
    lock, other = (DeviceLock(Lock(path, name, f"run {name}", "", 1)) for name in "ab")
    flock = DeviceLock._flock

    def late(self, kind):
        if self is lock and kind == fcntl.LOCK_SH:
            flock(self, fcntl.LOCK_UN)
            assert other.attempt() is None
        return flock(self, kind)

    monkeypatch.setattr(DeviceLock, "_flock", late)
    found = lock.attempt()
    assert found is not None
    assert found.holder == "run b"
    monkeypatch.undo()
    assert lock.attempt().holder == "run b"
    other.close()
    assert lock.attempt() is None  # and what it had for a moment it gave back
    lock.close()
