"""What only devices that are the host itself have: sessions by their ids, cores that the host keeps off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lutfarm_agents.process_identity import me, of
from lutfarm_agents.transports.local import LocalTransport, write_durably
from lutfarm_agents.transports.orphans import Orphans, end_session, session_members
from lutfarm_jobs.errors import TransferFailed

WAIT_S = 20.0


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_a_spawned_process_leads_a_session_of_its_own(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time; nap = 'import time; time.sleep(60)'; "
        "subprocess.Popen([sys.executable, '-c', nap]); print(os.getpid(), flush=True); time.sleep(60)"
    )
    with LocalTransport(tmp_path).spawn(python(code), env={}) as channel:
        leader = int(channel.receive(WAIT_S))
        assert os.getsid(leader) == leader != os.getsid(0)
        assert len(session_members(leader)) == 2


def test_what_left_its_session_is_ended_with_the_leader_that_it_descends_from(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; nap = 'import time; time.sleep(60)'; "
        "child = subprocess.Popen([sys.executable, '-c', nap], start_new_session=True); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    leader = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    known = of(child)
    assert known.is_alive
    assert set(session_members(leader.pid)) == {leader.pid, child}
    end_session(leader.pid)
    assert leader.wait(WAIT_S) == -9
    deadline_s = time.monotonic() + WAIT_S
    while known.is_alive:
        assert time.monotonic() < deadline_s, "it outlived its leader"
        time.sleep(0.02)
    leader.stdout.close()


def test_a_process_may_use_cores_that_its_host_keeps_off(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        narrowed = os.sched_getaffinity(0)
        local = LocalTransport(tmp_path, frozenset(before))
        with local.spawn(python("import os; print(sorted(os.sched_getaffinity(0)))"), env={}) as channel:
            assert channel.receive(WAIT_S) == str(sorted(before))
        assert os.sched_getaffinity(0) == narrowed
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"leader": 1, "host": [1]}', '{"leader": "a:0:1:1", "host": "a:0:999999999:1"}', "x" * 2000],
)
def test_a_damaged_note_ends_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "1").write_text(content)
    assert Orphans(tmp_path).reap() == 0
    assert not list(tmp_path.iterdir())


def test_a_note_about_a_pid_that_came_again_ends_nothing(tmp_path: Path) -> None:
    other = subprocess.Popen(python("input()"), stdin=subprocess.PIPE, start_new_session=True)
    (tmp_path / str(other.pid)).write_text(
        json.dumps({"leader": str(replace(of(other.pid), started=1)), "host": str(replace(me(), pid=999_999_999))})
    )
    assert Orphans(tmp_path).reap() == 0
    assert other.poll() is None
    other.kill()
    other.wait()
    assert other.stdin is not None
    other.stdin.close()


def test_a_full_disk_is_a_failed_transfer(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    with pytest.raises(TransferFailed, match="blocked"):
        write_durably(b"x", tmp_path / "blocked" / "a")
