"""Boards whose sshd or shell is set up in an unusual way: each is got round, or refused with the cause and the cure."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.rig.board import Board
from tests.rig.fixtures import needs_rig, ssh_key

from lutfarm_agents.address import SshAddress
from lutfarm_agents.discovery.shell_facts import gather
from lutfarm_agents.transports.ssh.transport import FEW_SESSIONS, NO_SFTP, SshTransport
from lutfarm_jobs.errors import NotReady, TransferFailed

__all__ = ["ssh_key"]
ROOT = "/home/board/lutfarm"
NO_SUBSYSTEM = "Subsystem sftp /usr/lib/nowhere/sftp-server\n"
GREETS = ("Welcome to the board", "prints text before the output of a command, its first line is 'Welcome to the board'")


@contextmanager
def odd(
    key: tuple[Path, str], *, config: str = "", shell: str = "/bin/sh", disk_bytes: int = 64 << 20, python: bool = False
) -> Iterator[tuple[Board, SshTransport]]:
    needs_rig()
    with Board("odd", keys=[key[1]], bind=None if python else [], config=config, shell=shell, disk_bytes=disk_bytes) as board:
        address = SshAddress(board.link.address, "root", board.port, str(key[0]))
        with closing(SshTransport(address, root=ROOT)) as transport:
            yield board, transport


def carries(transport: SshTransport, tmp_path: Path, *, size: int = 3_000_001) -> None:
    """Files go there and back while a process is open, and a wrong one says so."""
    (tmp_path / "model").write_bytes(os.urandom(size))
    (tmp_path / "empty").write_bytes(b"")
    with transport.spawn(["sh", "-c", 'read -r line; echo "heard $line"'], env={}) as channel:
        transport.put(tmp_path / "model", f"{ROOT}/models/a b'c")
        transport.put(tmp_path / "empty", f"{ROOT}/models/empty")
        assert transport.exists(f"{ROOT}/models/a b'c")
        assert transport.exists(f"{ROOT}/models/empty")
        assert not transport.exists(f"{ROOT}/models/none")
        assert not transport.exists(f"{ROOT}/models")
        transport.get(f"{ROOT}/models/a b'c", tmp_path / "back")
        transport.get(f"{ROOT}/models/empty", tmp_path / "nothing")
        with pytest.raises(TransferFailed):
            transport.get(f"{ROOT}/models/none", tmp_path / "none")
        channel.send("you")
        assert channel.receive(20.0) == "heard you"
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model").read_bytes()
    assert (tmp_path / "nothing").read_bytes() == b""
    assert not (tmp_path / "none").exists()


def test_a_usual_board_calls_for_no_remark(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key) as (_, transport):
        carries(transport, tmp_path)
        assert transport.remarks == ()


@pytest.mark.parametrize("most", [1, 2])
def test_few_sessions_on_a_connection_are_spread_over_several(ssh_key: tuple[Path, str], tmp_path: Path, most: int) -> None:
    with odd(ssh_key, config=f"MaxSessions {most}\n") as (_, transport):
        carries(transport, tmp_path)
        assert transport.remarks == (FEW_SESSIONS,)


@pytest.mark.parametrize("config", [NO_SUBSYSTEM, "Subsystem sftp /bin/false\n", "Subsystem sftp /bin/echo no\n"])
def test_without_sftp_files_go_through_the_shell(ssh_key: tuple[Path, str], tmp_path: Path, config: str) -> None:
    with odd(ssh_key, config=config) as (_, transport):
        carries(transport, tmp_path)
        assert transport.remarks == (NO_SFTP,)


def test_neither_sessions_nor_sftp(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, config=f"MaxSessions 1\n{NO_SUBSYSTEM}") as (_, transport):
        carries(transport, tmp_path)
        assert transport.remarks == (FEW_SESSIONS, NO_SFTP)


def test_no_session_at_all(ssh_key: tuple[Path, str]) -> None:
    with odd(ssh_key, config="MaxSessions 0\n") as (_, transport):
        with pytest.raises(NotReady, match="lets this user in and opens no session; see MaxSessions"):
            transport.run(["true"])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('ForceCommand echo "Welcome to the board"; exec sh -c "$SSH_ORIGINAL_COMMAND"\n', GREETS[1]),
        ('ForceCommand echo; exec sh -c "$SSH_ORIGINAL_COMMAND"\n', "before the output of a command, an empty line"),
        ('ForceCommand printf "no line break"; exec sh -c "$SSH_ORIGINAL_COMMAND"\n', "'no line break'"),
        (
            'ForceCommand sh -c "$SSH_ORIGINAL_COMMAND"; echo Goodbye\n',
            "after the output of a command, its first line is 'Goodbye'",
        ),
        ("ForceCommand yes\n", "before the output of a command, its first line is 'y'"),
        (
            "ForceCommand echo only files here\n",
            r"runs no command for it: exit status 0, its first line is 'only files here'.*chsh",
        ),
        ("ForceCommand internal-sftp\n", r"runs no command for it: exit status 1.*ForceCommand"),
    ],
)
def test_a_shell_that_says_more_than_its_commands_is_named_with_its_first_line(
    ssh_key: tuple[Path, str], config: str, said: str
) -> None:
    with odd(ssh_key, config=config) as (board, transport):
        with pytest.raises(NotReady, match=said):
            gather(transport, board.name)


def test_a_login_file_that_greets_is_named_and_its_silence_is_enough(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, shell="/usr/bin/bash") as (board, transport):
        board.path("/home/board/.bashrc").write_text("echo\necho 'Welcome to the board'\nuptime\n")
        with pytest.raises(NotReady, match=rf"{GREETS[1]}; silence it: .*bashrc"):
            transport.run(["true"])
        board.path("/home/board/.bashrc").write_text("case $- in *i*) ;; *) return ;; esac\necho hello\n")
        carries(transport, tmp_path)
        board.path("/home/board/.bashrc").write_text("echo a word on stderr >&2\n")
        transport.close()
        carries(transport, tmp_path)


def test_a_login_file_that_leaves_something_running_is_named(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, shell="/usr/bin/bash") as (board, transport):
        board.path("/home/board/.bashrc").write_text("sleep 600 &\n")
        with pytest.raises(NotReady, match="keeps the output of every command open; start it there with >/dev/null"):
            transport.run(["true"])
        board.path("/home/board/.bashrc").write_text("sleep 600 >/dev/null 2>&1 </dev/null &\n")
        carries(transport, tmp_path)


@pytest.mark.parametrize("config", ["", NO_SUBSYSTEM])
def test_a_disk_that_fills_up_or_becomes_read_only(ssh_key: tuple[Path, str], tmp_path: Path, config: str) -> None:
    with odd(ssh_key, config=config, disk_bytes=8 << 20) as (board, transport):
        (tmp_path / "small").write_bytes(b"kept")
        (tmp_path / "big").write_bytes(os.urandom(16 << 20))
        transport.put(tmp_path / "small", f"{ROOT}/a")
        with pytest.raises(NotReady, match=r"disk is full: .*free space there"):
            transport.put(tmp_path / "big", f"{ROOT}/a")
        board.fill_disk("/home/board")
        with pytest.raises(NotReady, match=r"disk is full: .*free space there"):
            transport.put(tmp_path / "small", f"{ROOT}/new/b")
        board.free_disk("/home/board")
        board.protect("/home/board")
        for name in ("a", "new/b"):
            with pytest.raises(NotReady, match=r"is read-only: mount it writable there .*or register it with another --root"):
                transport.put(tmp_path / "small", f"{ROOT}/{name}")
        with pytest.raises(NotReady, match="is read-only"), transport.spawn(["true"], env={}):
            pass
        assert transport.reap() == 0
        transport.get(f"{ROOT}/a", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"kept"
        board.unprotect("/home/board")
        transport.put(tmp_path / "small", f"{ROOT}/new/b")
        assert sorted(path.name for path in board.path(ROOT).rglob("*") if path.is_file()) == ["a", "b"]


def lutfarm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lutfarm")), *words],
        env={**os.environ, "LUTFARM_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_what_a_user_sees_of_a_shell_that_greets(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, config='ForceCommand echo "Welcome to the board"; exec sh -c "$SSH_ORIGINAL_COMMAND"\n') as (board, _):
        asked = ("--ssh", f"root@{board.link.address}", "--key", str(ssh_key[0]), "--python", "/usr/bin/python3", "--root", ROOT)
        refused = lutfarm(tmp_path, "device", "register", "b", *asked)
        (tmp_path / "hosts").write_text(f"root@{board.link.address}\n")
        found = lutfarm(tmp_path, "device", "discover", "--hosts", str(tmp_path / "hosts"), "--key", str(ssh_key[0]), "--json")
    assert refused.returncode == 3
    assert GREETS[1] in refused.stderr
    assert "silence it" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert json.loads(found.stdout)[0]["state"] == "no_entry"
    assert GREETS[1] in json.loads(found.stdout)[0]["detail"]


def test_what_discover_says_registers_the_board(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, python=True) as (board, _):
        (tmp_path / "hosts").write_text(f"root@{board.link.address}\n")
        found = lutfarm(tmp_path, "device", "discover", "--hosts", str(tmp_path / "hosts"), "--key", str(ssh_key[0]), "--json")
        line = json.loads(found.stdout)[0]["detail"].partition("; lutfarm ")[2]
        words = shlex.split(line.replace("NAME", "b"))
        said = lutfarm(tmp_path / "home", *words, "--python", sys.executable)
        assert said.returncode == 0, said.stderr


def test_what_a_user_sees_of_few_sessions_and_no_sftp(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    with odd(ssh_key, config=f"MaxSessions 1\n{NO_SUBSYSTEM}", python=True) as (board, _):
        asked = ("--ssh", f"root@{board.link.address}", "--key", str(ssh_key[0]), "--python", sys.executable)
        said = lutfarm(tmp_path, "device", "register", "b", *asked)
        assert said.returncode == 0, said.stderr
        assert NO_SFTP in said.stderr
        checked = json.loads(lutfarm(tmp_path, "device", "check", "b", "--json").stdout)
    links = [finding for finding in checked[0]["findings"] if finding["name"] == "link"]
    assert [finding["severity"] for finding in links] == ["warn"] * len(links)
    assert any("no SFTP" in finding["why"] and "Subsystem sftp" in finding["what_to_do"] for finding in links)
    assert [f for f in checked[0]["findings"] if f["name"].startswith("latency onnxruntime")]
