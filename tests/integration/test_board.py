"""The SSH transport against OpenSSH's sshd."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.rig.board import Board, make_key
from tests.rig.fixtures import board, needs_rig, ssh_key
from tests.rig.machine import until

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.transports.ssh.kind import parse_ssh
from lutfarm_agents.transports.ssh.login import host_keys
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, RegistrationStale, SpecError

__all__ = ["board", "ssh_key"]
ROOT = "/home/board/lutfarm"
NOTICED_S = 10.0
NAP = [sys.executable, "-I", "-c", "import time; print('up', flush=True); time.sleep(600)"]


def address_of(board: Board, key: Path) -> SshAddress:
    known = HostKey.parse(board.host_key.rsplit(" ", 1)[0])
    return SshAddress(board.link.address, "root", board.port, str(key), known)


@pytest.fixture
def address(board: Board, ssh_key: tuple[Path, str]) -> SshAddress:
    return address_of(board, ssh_key[0])


@pytest.fixture
def transport(address: SshAddress) -> Iterator[SshTransport]:
    with closing(SshTransport(address, root=ROOT)) as found:
        yield found


def napping(board: Board) -> list[psutil.Process]:
    return [p for p in board.processes() if "time.sleep(600)" in " ".join(p.cmdline())]


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(board: Board, address: SshAddress) -> None:
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(board.folder / "etc" / "ssh_host_ed25519_key.pub")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    shown = host_keys(replace(address, host_key=None))
    assert [key.fingerprint for key in shown] == [printed.split()[1]]
    assert shown == [address.host_key]


def test_a_changed_host_key_is_refused_before_any_key_of_ours_is_shown(ssh_key: tuple[Path, str]) -> None:
    needs_rig()
    with Board("reborn", keys=[ssh_key[1]]) as reborn:
        address = address_of(reborn, ssh_key[0])
        with closing(SshTransport(address, root=ROOT)) as transport:
            assert transport.run(["true"]).code == 0
            reborn.change_host_key()
            until(reborn.answers, "sshd is back")
            with suppress(LinkError, NotReady):
                transport.run(["true"])  # on the connection that died, if nobody noticed yet
            logged = (reborn.folder / "run" / "log").read_text().count("Accepted publickey")
            with pytest.raises(RegistrationStale, match=r"another host key.*register it again"):
                transport.run(["true"])
            assert (reborn.folder / "run" / "log").read_text().count("Accepted publickey") == logged


def test_a_refused_key_says_what_to_do(board: Board, address: SshAddress, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    with closing(SshTransport(replace(address, key_file=str(tmp_path / "other")), root=ROOT)) as transport:
        with pytest.raises(NotReady, match=r"takes none of these keys.*other.*ssh-copy-id"):
            transport.run(["true"])
    (tmp_path / "broken").write_text("no key")
    with closing(SshTransport(replace(address, key_file=str(tmp_path / "broken")), root=ROOT)) as transport:
        with pytest.raises(NotReady, match=r"the key .*broken can't be used"):
            transport.run(["true"])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "locked")], check=True, timeout=60)
    with closing(SshTransport(replace(address, key_file=str(tmp_path / "locked")), root=ROOT)) as transport:
        with pytest.raises(NotReady, match=r"passphrase.*ssh-add"):
            transport.run(["true"])


def test_a_key_of_the_agent_is_used(
    address: SshAddress, ssh_key: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{tmp_path}/agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        until(Path(place).exists, "the agent is up")
        environment = {**os.environ, "SSH_AUTH_SOCK": place}
        subprocess.run(["ssh-add", "-q", str(ssh_key[0])], env=environment, check=True, timeout=60)
        monkeypatch.setenv("SSH_AUTH_SOCK", place)
        monkeypatch.setenv("HOME", str(tmp_path))
        with closing(SshTransport(replace(address, key_file=""), root=ROOT)) as transport:
            assert transport.run(["true"]).code == 0
    finally:
        agent.kill()
        agent.wait()


def test_a_board_behind_a_jump_host(board: Board, ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    """The jump host forwards to its own sshd: as if the board were on its far side."""
    inner = replace(address_of(board, ssh_key[0]), host="127.0.0.1", jump=address_of(board, ssh_key[0]))
    assert len(host_keys(replace(inner, host_key=None))) == 2
    with closing(SshTransport(inner, root=ROOT)) as transport:
        (tmp_path / "model").write_bytes(os.urandom(3_000_000))
        transport.put(tmp_path / "model", f"{ROOT}/through")
        transport.get(f"{ROOT}/through", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "model").read_bytes()
        seen = transport.run(["sh", "-c", "echo $PPID"])
        assert seen.code == 0
    jumped = replace(inner, jump=replace(inner.jump or inner, host_key=HostKey("ssh-ed25519", "AAAA")))
    with closing(SshTransport(jumped, root=ROOT)) as transport, pytest.raises(NotReady, match="another host key"):
        transport.run(["true"])


@pytest.mark.parametrize("fault", ["kill", "cut"])
def test_a_loss_is_noticed_in_time_and_cheaply(board: Board, transport: SshTransport, fault: str) -> None:
    with pytest.raises(LinkLost), transport.spawn(NAP, env={}) as channel:
        assert channel.receive(20.0) == "up"
        cpu_s, began_s = sum(psutil.Process().cpu_times()[:2]), time.monotonic()
        getattr(board, fault)()
        try:
            channel.receive(60.0)
        finally:
            took_s, burnt_s = time.monotonic() - began_s, sum(psutil.Process().cpu_times()[:2]) - cpu_s
            board.mend()
    assert took_s < NOTICED_S
    assert burnt_s < 1.0
    until(board.answers, "sshd is back")
    transport.reap()
    assert not napping(board)


def test_a_stopped_sshd_fails_the_next_command_in_time(board: Board, transport: SshTransport) -> None:
    assert transport.run(["true"]).code == 0
    board.stop()
    try:
        began_s = time.monotonic()
        with pytest.raises(LinkError):
            transport.run(["true"])
        assert time.monotonic() - began_s < NOTICED_S
    finally:
        board.go_on()
    assert transport.run(["true"]).code == 0


def test_a_copy_that_a_cut_breaks_is_started_again_and_whole(board: Board, transport: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(64 << 20))
    cutting = threading.Timer(0.2, board.kill)
    cutting.start()
    try:
        transport.put(tmp_path / "model", f"{ROOT}/whole")
    except LinkError:
        until(board.answers, "sshd is back")
        assert not transport.exists(f"{ROOT}/whole")
        transport.put(tmp_path / "model", f"{ROOT}/whole")
    cutting.join()
    transport.get(f"{ROOT}/whole", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model").read_bytes()


def test_a_full_board_is_not_ready_and_keeps_what_it_has(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    needs_rig()
    with (
        Board("full", keys=[ssh_key[1]], bind=[], disk_bytes=8 << 20) as full,
        closing(SshTransport(address_of(full, ssh_key[0]), root=ROOT)) as transport,
    ):
        (tmp_path / "small").write_bytes(b"kept")
        transport.put(tmp_path / "small", f"{ROOT}/a")
        (tmp_path / "big").write_bytes(os.urandom(16 << 20))
        with pytest.raises(NotReady, match=r"disk is full: .*MB free, 16.8 MB are needed; free space there"):
            transport.put(tmp_path / "big", f"{ROOT}/a")
        transport.get(f"{ROOT}/a", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"kept"
        assert [path.name for path in full.path(ROOT).iterdir()] == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "root@",
        "root@-oProxyCommand=id",
        "-l@host",
        "a b@c",
        "root@h;id",
        "root@$(id)",
        "root@host:0",
        "root@host:65536",
        "root@host:x",
        "x" * 10_000,
        "root@ho\nst",
        "r'oot@host",
        "root@[::1",
        "root@host:22:22",
    ],
)
def test_strange_hosts_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not USER@HOST"):
        parse_ssh(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("root@10.0.0.7", "10.0.0.7", 22),
        ("pi@board.lab:2222", "board.lab", 2222),
        ("root@[::1]:2022", "::1", 2022),
        ("root@[fe80::1]", "fe80::1", 22),
        ("root@::1", "::1", 22),
    ],
)
def test_usual_hosts_are_understood(text: str, host: str, port: int) -> None:
    assert (parse_ssh(text).host, parse_ssh(text).port) == (host, port)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", b"\0" * 5000, b"", b"SSH-1.5-old\r\n"])
def test_what_is_no_ssh_server_is_said_to_be_none(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectFailed, match="not as an SSH server should"):
            host_keys(SshAddress("127.0.0.1", "root", server.getsockname()[1]))
        thread.join()


def test_twenty_boards_at_once(ssh_key: tuple[Path, str], tmp_path: Path) -> None:
    needs_rig()
    boards = [Board(f"many-{number}", keys=[ssh_key[1]], bind=[]) for number in range(20)]
    said: dict[str, str] = {}
    (tmp_path / "model").write_bytes(os.urandom(1_000_000))

    def use(one: Board) -> None:
        with closing(SshTransport(address_of(one, ssh_key[0]), root=ROOT)) as transport:
            transport.put(tmp_path / "model", f"{ROOT}/model")
            with transport.spawn(["sh", "-c", 'hostname; read -r line; echo "$line"'], env={}) as channel:
                name = channel.receive(60.0)
                channel.send(f"for {name}")
                said[one.name] = f"{name} {channel.receive(60.0)} {channel.wait(60.0).code}"

    try:
        threads = [threading.Thread(target=lambda b=b: (b.start(), use(b))) for b in boards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for one in boards:
            one.close()
    assert said == {one.name: f"{one.name} for {one.name} 0" for one in boards}
