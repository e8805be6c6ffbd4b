"""What every transport does: files arrive whole, processes are spoken to in lines and end with their block."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lutfarm_agents.transports.base import Channel, Transport
from lutfarm_agents.transports.leftovers import Leftovers, session_members
from lutfarm_agents.transports.local import LocalTransport, write_durably
from lutfarm_jobs.errors import ConnectFailed, LinkLost, ProtocolMismatch, ReplyTimeout, TransferFailed

WAIT_S = 20.0


@pytest.fixture(params=["local"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    assert request.param == "local"
    found = LocalTransport(tmp_path / "device")
    yield found
    found.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "device"


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s, f"{pid} is still there"
        time.sleep(0.02)


def test_a_file_arrives_whole_and_comes_back(transport: Transport, root: Path, tmp_path: Path) -> None:
    local = tmp_path / "model"
    local.write_bytes(b"\0\xff" * 1_000_000)
    remote = str(root / "models" / "a.onnx")
    assert not transport.exists(remote)
    transport.put(local, remote)
    assert transport.exists(remote)
    transport.get(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_a_file_is_replaced_and_nothing_is_left_beside_it(transport: Transport, root: Path, tmp_path: Path) -> None:
    for content in (b"old and longer", b"new"):
        (tmp_path / "model").write_bytes(content)
        transport.put(tmp_path / "model", str(root / "a"))
    assert (root / "a").read_bytes() == b"new"
    assert [path.name for path in root.iterdir()] == ["a"]


def test_a_failed_copy_says_so_and_keeps_what_was_there(transport: Transport, root: Path, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"good")
    transport.put(tmp_path / "model", str(root / "a"))
    with pytest.raises(TransferFailed, match="absent"):
        transport.put(tmp_path / "absent", str(root / "a"))
    with pytest.raises(TransferFailed):
        transport.put(tmp_path, str(root / "a"))
    with pytest.raises(TransferFailed):
        transport.get(str(root / "absent"), tmp_path / "back")
    assert (root / "a").read_bytes() == b"good"
    assert [path.name for path in root.iterdir()] == ["a"]


@pytest.mark.parametrize("remote", ["a", "models/a", "/etc/lutfarm-test", "{root}/../a", "{root}/link/a", ""])
def test_no_path_leads_out_of_the_devices_folder(
    transport: Transport, root: Path, tmp_path: Path, remote: str
) -> None:
    (tmp_path / "outside").mkdir()
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "model").write_bytes(b"x")
    with pytest.raises(TransferFailed, match="inside"):
        transport.put(tmp_path / "model", remote.format(root=root))
    assert not (tmp_path / "a").exists()
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_or_a_folder_is_no_file(transport: Transport, root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (tmp_path / "model").write_bytes(b"x")
    (root / "link").symlink_to(tmp_path / "model")
    (root / "folder").mkdir()
    assert not transport.exists(str(root / "link"))
    assert not transport.exists(str(root / "folder"))


def test_lines_go_both_ways(transport: Transport) -> None:
    code = "import sys\nfor line in sys.stdin: print('got', line.strip(), flush=True)"
    with transport.spawn(python(code), env={}) as channel:
        for text in ("one", "zwölf", "x" * 200_000):
            channel.send(text)
            assert channel.receive(WAIT_S) == f"got {text}"


def test_many_lines_in_one_write_come_one_by_one(transport: Transport) -> None:
    with transport.spawn(python("print('\\n'.join(map(str, range(5000))))"), env={}) as channel:
        assert [int(channel.receive(WAIT_S)) for _ in range(5000)] == list(range(5000))
        with pytest.raises(LinkLost, match="exit status 0"):
            channel.receive(WAIT_S)


def test_silence_is_a_timeout_and_the_link_still_works(transport: Transport) -> None:
    with transport.spawn(python("import sys; sys.stdin.readline(); print('there')"), env={}) as channel:
        with pytest.raises(ReplyTimeout):
            channel.receive(0.05)
        channel.send("go")
        assert channel.receive(WAIT_S) == "there"


@pytest.mark.parametrize("code", [
    "import sys; sys.stdout.write('x' * 3_000_000); sys.stdout.flush(); sys.stdin.readline()",
    "import sys; sys.stdout.write('x' * 1_048_577 + '\\n'); sys.stdout.flush(); sys.stdin.readline()",
    "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush(); sys.stdin.readline()",
])
def test_endless_or_garbled_lines_are_refused(transport: Transport, code: str) -> None:
    with transport.spawn(python(code), env={}) as channel, pytest.raises(ProtocolMismatch):
        channel.receive(WAIT_S)


def test_the_longest_line_is_let_through(transport: Transport) -> None:
    with transport.spawn(python("print('x' * 1_048_576)"), env={}) as channel:
        assert len(channel.receive(WAIT_S)) == 1_048_576


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('no such runtime')", "exit status 1: no such runtime"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import sys; sys.stderr.write('\\x1b[31m' + 'y' * 100_000)", "exit status 0: y"),
    ],
)
def test_a_process_that_ended_says_how(transport: Transport, code: str, said: str) -> None:
    with transport.spawn(python(code), env={}) as channel:
        with pytest.raises(LinkLost, match=said) as caught:
            channel.receive(WAIT_S)
        assert len(caught.value.detail) < 1000
        assert "\x1b" not in caught.value.detail


def test_the_end_is_a_code_or_a_signal(transport: Transport) -> None:
    with transport.spawn(python("import sys; sys.stderr.write('bye'); sys.exit(3)"), env={}) as channel:
        ending = channel.wait(WAIT_S)
        assert (ending.code, ending.signal, ending.stderr_tail) == (3, None, "bye")
    with transport.spawn(python("input()"), env={}) as channel:
        with pytest.raises(ReplyTimeout):
            channel.wait(0.05)
        channel.kill()
        assert (channel.wait(WAIT_S).code, channel.wait(WAIT_S).signal) == (None, 9)
        channel.kill()


def test_noise_on_stderr_does_not_block_the_wire(transport: Transport) -> None:
    code = "import sys; sys.stderr.write('n' * 5_000_000); sys.stderr.flush(); print('through')"
    with transport.spawn(python(code), env={}) as channel:
        assert channel.receive(WAIT_S) == "through"


def test_sending_to_a_process_that_has_gone_is_a_lost_link(transport: Transport) -> None:
    with transport.spawn(python("pass"), env={}) as channel:
        channel.wait(WAIT_S)
        with pytest.raises(LinkLost):
            channel.send("anyone?")


FAMILY = """
import os, subprocess, sys, time
code = "import time; time.sleep(600)"
same = subprocess.Popen([sys.executable, "-c", code])
own = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(os.getpid(), same.pid, own.pid, flush=True)
time.sleep(600)
"""


def family(channel: Channel) -> list[int]:
    return [int(pid) for pid in channel.receive(WAIT_S).split()]


def test_leaving_the_block_ends_the_whole_family(transport: Transport) -> None:
    with transport.spawn(python(FAMILY), env={}) as channel:
        pids = family(channel)
        assert os.getsid(pids[0]) == pids[0] != os.getsid(0)
        assert set(pids) <= set(session_members(pids[0]))
    for pid in pids:
        until_gone(pid)


def test_an_error_in_the_block_ends_it_too(transport: Transport) -> None:
    pids: list[int] = []

    def broken() -> None:
        with transport.spawn(python(FAMILY), env={}) as channel:
            pids.extend(family(channel))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert len(pids) == 3
    for pid in pids:
        until_gone(pid)


def test_a_program_that_is_not_there_is_a_failed_connection(transport: Transport, root: Path) -> None:
    with pytest.raises(ConnectFailed, match="no-such-python"), transport.spawn([str(root / "no-such-python")], env={}):
        pass


def test_the_environment_is_clean(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    with transport.spawn(python(code), env={"ORT_DISABLE_TELEMETRY": "1"}) as channel:
        line = channel.receive(WAIT_S)
    assert '"ORT_DISABLE_TELEMETRY": "1"' in line
    assert not [name for name in ("SECRET_TOKEN", "PYTHONPATH", "OMP_NUM_THREADS") if name in line]


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


HOST = """
import sys
from pathlib import Path
from lutfarm_agents.transports.local import LocalTransport
transport = LocalTransport(Path(sys.argv[1]))
with transport.spawn([sys.executable, "-I", "-c", "import time; time.sleep(600)"], env={}) as channel:
    print(channel.pid, flush=True)
    sys.stdin.readline()
"""


def test_reaping_ends_what_a_dead_host_left_and_nothing_else(transport: Transport, root: Path) -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert host.stdin is not None
    left = int(host.stdout.readline())
    with transport.spawn(python("input()"), env={}) as mine:
        assert transport.reap() == 0               # its host lives
        assert psutil.pid_exists(left)
        host.kill()
        host.wait()
        assert transport.reap() == 1
        until_gone(left)
        assert psutil.pid_exists(mine.pid)
        assert transport.reap() == 0
    host.stdin.close()
    host.stdout.close()
    assert not list((root / "running").iterdir())


@pytest.mark.parametrize("content", [
    "", "[]", "{}", "null", '{"leader": "1", "host": [1]}', '{"leader": [1, 0.0], "host": [999999999, 0.0]}', "x" * 2000
])
def test_a_damaged_note_ends_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "1").write_text(content)
    assert Leftovers(tmp_path).reap() == 0
    assert not list(tmp_path.iterdir())


def test_a_note_about_a_pid_that_came_again_ends_nothing(tmp_path: Path) -> None:
    other = subprocess.Popen(python("input()"), stdin=subprocess.PIPE, start_new_session=True)
    (tmp_path / str(other.pid)).write_text(f'{{"leader": [{other.pid}, 1.0], "host": [999999999, 1.0]}}')
    assert Leftovers(tmp_path).reap() == 0
    assert other.poll() is None
    other.kill()
    other.wait()
    assert other.stdin is not None
    other.stdin.close()


def test_a_full_disk_is_a_failed_transfer(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    with pytest.raises(TransferFailed, match="blocked"):
        write_durably(b"x", tmp_path / "blocked" / "a")
