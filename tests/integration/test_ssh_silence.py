"""A server that opens a channel and then says nothing more: no call waits for it without limit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from tests.rig.board import make_key

from lutfarm_agents.address import SshAddress
from lutfarm_agents.transports.ssh import process
from lutfarm_agents.transports.ssh import transport as ssh
from lutfarm_jobs.errors import LinkError, LinkLost

PATIENCE_S = 1.0


class Silent(paramiko.ServerInterface):
    """Lets everybody in, says one word, and then answers no request, as an sshd that is stopped between two messages."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.greeted = False

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.greeted:
            self.over.wait(60)
            return False
        self.greeted = True

        def echo() -> None:
            channel.sendall(command.removeprefix(b"echo ") + b"\n")
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.1, echo).start()
        return True

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.over.wait(60)
        return False


@pytest.fixture
def transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssh.SshTransport]:
    monkeypatch.setattr(process, "ANSWER_S", PATIENCE_S)
    monkeypatch.setattr(ssh, "CONNECT_S", PATIENCE_S)
    make_key(tmp_path / "id")
    silent, accepted = Silent(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            server = paramiko.Transport(listener.accept()[0])
            accepted.append(server)
            server.add_server_key(paramiko.RSAKey.generate(2048))
            server.start_server(server=silent)

        thread = threading.Thread(target=serve)
        thread.start()
        found = ssh.SshTransport(
            SshAddress("127.0.0.1", "root", listener.getsockname()[1], key_file=str(tmp_path / "id")), root="/lutfarm"
        )
        try:
            yield found
        finally:
            silent.over.set()
            found.close()
            thread.join(10)
            for server in accepted:
                server.close()


def test_a_command_that_nobody_answers_is_a_lost_link(transport: ssh.SshTransport) -> None:
    with pytest.raises(LinkLost, match="did not start a command"):
        transport.run(["true"])


def test_files_that_nobody_serves_are_a_lost_link(transport: ssh.SshTransport) -> None:
    with pytest.raises(LinkError):
        transport.exists("/lutfarm/file")
