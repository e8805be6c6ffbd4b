"""What every transport does with processes: they are spoken to in lines and end with their block."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.rig.board import Board
from tests.rig.fixtures import board, phone, ssh_key
from tests.rig.machine import until
from tests.rig.phone import Phone
from tests.transport_kit import KINDS, WAIT_S, Place, make_place, place, python, transport

from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import ConnectFailed, LinkLost, ProtocolMismatch, ReplyTimeout

__all__ = ["board", "phone", "place", "ssh_key", "transport"]


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


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.write('x' * 3_000_000); sys.stdout.flush(); sys.stdin.readline()",
        "import sys; sys.stdout.write('x' * 1_048_577 + '\\n'); sys.stdout.flush(); sys.stdin.readline()",
        "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush(); sys.stdin.readline()",
    ],
)
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
same = subprocess.Popen([sys.executable, "-c", code, sys.argv[1]])
own = subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True)
print("born", flush=True)
time.sleep(600)
"""


def family(marker: str) -> list[str]:
    return [*python(FAMILY), marker]


def until_gone(place: Place, marker: str) -> None:
    until(lambda: not place.processes(marker), f"{marker} is gone", timeout_s=WAIT_S)


def test_leaving_the_block_ends_the_whole_family(place: Place) -> None:
    with place.transport.spawn(family("family-a"), env={}) as channel:
        assert channel.receive(WAIT_S) == "born"
        assert len(place.processes("family-a")) >= 3
    until_gone(place, "family-a")


def test_an_error_in_the_block_ends_it_too(place: Place) -> None:
    def broken() -> None:
        with place.transport.spawn(family("family-b"), env={}) as channel:
            assert channel.receive(WAIT_S) == "born"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    until_gone(place, "family-b")


def test_killing_ends_the_whole_family_while_the_channel_is_open(place: Place) -> None:
    with place.transport.spawn(family("family-c"), env={}) as channel:
        assert channel.receive(WAIT_S) == "born"
        channel.kill()
        with pytest.raises(LinkLost):
            channel.receive(WAIT_S)
        assert channel.wait(WAIT_S).code is None
        until_gone(place, "family-c")


def test_two_hundred_processes_in_a_row(place: Place) -> None:
    for number in range(200):
        with place.transport.spawn(["sh", "-c", 'echo "$1"; exit 3', "sh", str(number)], env={}) as channel:
            assert channel.receive(WAIT_S) == str(number)
            assert channel.wait(WAIT_S).code == 3
    assert not list((place.seen / "running").iterdir())


def test_channels_do_not_mix(place: Place) -> None:
    """Several threads, one transport: each process gets and gives what is its own."""
    code = "import sys\nfor line in sys.stdin: print(sys.argv[1], line.strip(), flush=True)"
    wrong: list[str] = []

    def talk(name: str) -> None:
        try:
            with place.transport.spawn([*python(code), name], env={}) as channel:
                for number in range(50):
                    channel.send(f"{number} {'x' * 3000}")
                    if channel.receive(WAIT_S) != f"{name} {number} {'x' * 3000}":
                        wrong.append(name)
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=talk, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_thirty_seconds_of_silence_are_no_end(phone: Phone, board: Board, ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    """All transports side by side: what takes long is the silence."""
    heard: dict[str, str] = {}

    def listen(kind: str) -> None:
        place = make_place(kind, {"adb": phone, "ssh": board}.get(kind), str(ssh_key[0]), tmp_path)
        try:
            with place.transport.spawn(python("import time; time.sleep(30); print('awake')"), env={}) as channel:
                with pytest.raises(ReplyTimeout):
                    channel.receive(5.0)
                heard[kind] = channel.receive(60.0)
        finally:
            place.transport.close()

    threads = [threading.Thread(target=listen, args=(kind,)) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == dict.fromkeys(KINDS, "awake")


def test_output_that_nobody_reads_stops_the_process_and_not_the_farm(place: Place) -> None:
    """Sixty megabytes; while they wait, other commands of the same device go through."""
    code = "for n in range(1000): print(str(n) + 'x' * 60_000)"
    with place.transport.spawn(python(code), env={}) as channel:
        with place.transport.spawn(["sh", "-c", "echo through"], env={}) as other:
            assert other.receive(WAIT_S) == "through"
        for number in range(1000):
            line = channel.receive(WAIT_S)
            assert line.startswith(f"{number}x")
            assert len(line) == len(str(number)) + 60_000


def test_a_program_that_is_not_there_is_a_failed_connection(place: Place) -> None:
    with pytest.raises(ConnectFailed, match="no-such-python"), place.transport.spawn([place.at("no-such-python")], env={}):
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


HOST = """
import sys
from pathlib import Path
from lutfarm_agents.transports.adb.transport import AdbTransport
from lutfarm_agents.transports.local import LocalTransport
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_agents.address import SshAddress
kind, root, where, key = sys.argv[1:]
if kind == "local":
    transport = LocalTransport(Path(root))
elif kind == "adb":
    transport = AdbTransport(where, root=root, keys=Path(key))
else:
    transport = SshTransport(SshAddress(where, "root", 22, key), root=root)
code = "import time; time.sleep(600)"
with transport.spawn([sys.executable, "-I", "-c", code, "left-behind"], env={}) as channel:
    print("born", flush=True)
    sys.stdin.readline()
"""


def test_reaping_ends_what_a_dead_host_left_and_nothing_else(place: Place, ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    kind, where = "local", ""
    if place.machine is not None:
        on_adb = place.machine.kind == "phone"
        kind, where = ("adb", place.machine.address) if on_adb else ("ssh", place.machine.link.address)
    key = str(tmp_path / "keys") if kind == "adb" else str(ssh_key[0])
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, kind, place.root, where, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert host.stdout is not None
    assert host.stdin is not None
    assert host.stdout.readline() == b"born\n"
    code = "import sys; print('mine', flush=True); sys.stdin.readline()"
    with place.transport.spawn([*python(code), "of-this-host"], env={}) as mine:
        assert mine.receive(WAIT_S) == "mine"
        assert place.transport.reap() == 0  # its host lives
        assert place.processes("left-behind")
        host.kill()
        host.wait()
        assert place.transport.reap() == 1
        until_gone(place, "left-behind")
        assert place.processes("of-this-host")
        assert place.transport.reap() == 0
    host.stdin.close()
    host.stdout.close()
    assert not list((place.seen / "running").iterdir())
