"""Boards, through their sshd: host keys strict, a jump host where one is named, one connection where one is enough."""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko

from lutfarm_agents.address import SshAddress
from lutfarm_agents.transports import quiet_shell, shell_files
from lutfarm_agents.transports.interface import RemoteProcess
from lutfarm_agents.transports.remote import RemoteTransport, command_line
from lutfarm_agents.transports.ssh.login import CONNECT_S, connect, disconnect
from lutfarm_agents.transports.ssh.process import ChannelProcess, answered
from lutfarm_agents.transports.vendor import ignored, mapped
from lutfarm_jobs.errors import ConnectFailed, LinkError, LinkLost, NotReady, TransferFailed

CHUNK_BYTES = 1 << 18
MOST_CONNECTIONS = 8
FREED_S = 0.1
FEW_SESSIONS = (
    "sshd opens few sessions on one connection there, so lutfarm opens further connections; "
    "remove MaxSessions from its sshd_config (the default is 10), and one is enough"
)
NO_SFTP = (
    "sshd offers no SFTP there, so files go through its shell, which takes longer; "
    "add `Subsystem sftp internal-sftp` to its sshd_config"
)

# paramiko's thread logs every broken connection with a traceback; here each becomes an error of its own.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

Hops = Sequence[paramiko.Transport]  # the last one ends at the board


class SshTransport(RemoteTransport):
    """One board; its connections are shared by all threads."""

    def __init__(self, address: SshAddress, *, root: str) -> None:
        super().__init__(root)
        self.address = address
        self._connecting = threading.Lock()
        self._filing = threading.Lock()
        self._connections: list[Hops] = []
        self._sftp: paramiko.SFTPClient | None = None
        self._by_shell = False  # files: there is no SFTP
        self._few_sessions = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is unusual there and is got round."""
        return (FEW_SESSIONS,) * self._few_sessions + (NO_SFTP,) * self._by_shell

    def close(self) -> None:
        """Release the connections."""
        with self._connecting:
            self._close()

    def _close(self) -> None:
        opened, self._connections, self._sftp = self._connections, [], None
        for hops in opened:
            disconnect(hops)

    def _connected(self) -> bool:
        return bool(self._connections) and all(hop.is_active() for hops in self._connections for hop in hops)

    def _opened(self) -> list[Hops]:
        """The open connections; one is made where there is none.  Raises ConnectFailed, NotReady."""
        with self._connecting:
            if not self._connected():
                self._close()
                self._by_shell = self._few_sessions = False  # it may have been mended meanwhile
                self._connections.append(self._connect())
            return list(self._connections)

    def _connect(self) -> Hops:
        hops = connect(self.address)
        try:
            quiet_shell.check(lambda command: self._execute(self._first_session(hops), command), self.address.name)
        except (LinkError, NotReady):
            disconnect(hops)
            raise
        return hops

    def _first_session(self, hops: Hops) -> paramiko.Channel:
        channel = self._session_on([hops], patience_s=2.0)
        if channel is None:
            raise NotReady(f"{self.address.name} lets this user in and opens no session; see MaxSessions in its sshd_config")
        return channel

    def _session(self) -> paramiko.Channel:
        """On the first connection that has room for one; on a new one where none has.  Raises LinkError, NotReady."""
        opened = self._opened()
        most = len(opened) >= MOST_CONNECTIONS
        channel = self._session_on(opened, patience_s=CONNECT_S if most else FREED_S)
        if channel is not None:
            return channel
        if most:
            raise NotReady(f"{self.address.name}: {len(opened)} connections give no more sessions; {FEW_SESSIONS}")
        try:
            further = self._connect()
        except ConnectFailed as error:
            raise ConnectFailed(
                f"{self.address.name} opens no more sessions on one connection, and takes no further connection: "
                f"{error.detail}; raise MaxSessions in its sshd_config"
            ) from error
        with self._connecting:
            self._connections.append(further)
            self._few_sessions = True
        return self._first_session(further)

    def _session_on(self, connections: Sequence[Hops], *, patience_s: float) -> paramiko.Channel | None:
        """None where none of them gives one more: sshd counts MaxSessions for each.  Raises LinkLost.

        sshd forgets a session some time after it was closed, so that one that was just refused may be given at once.
        """
        deadline_s = time.monotonic() + patience_s
        while True:
            for hops in connections:
                with (
                    mapped(lambda words: LinkLost(f"{self.address.name} opens no session: {words}")),
                    suppress(paramiko.ChannelException),
                ):
                    return hops[-1].open_session(timeout=CONNECT_S)
            if time.monotonic() > deadline_s:
                return None
            time.sleep(0.02)

    def _start(self, command: str) -> RemoteProcess:
        try:
            return self._execute(self._session(), command)
        except LinkError:
            self.close()
            raise

    def _execute(self, channel: paramiko.Channel, command: str) -> RemoteProcess:
        with mapped(lambda words: LinkLost(f"{self.address.name} did not start a command: {words}")), answered(channel):
            channel.exec_command(command)
        return ChannelProcess(channel, self.address.name)

    def _start_words(self, argv: Sequence[str]) -> RemoteProcess:
        return self._start(command_line(argv, {}))

    def _push(self, local: Path, remote: str) -> None:
        sftp = self._files()
        if sftp is None:
            shell_files.push(self._start_words, local, remote)
            return
        with self._transferring(str(local), remote):
            with local.open("rb") as source, sftp.open(remote, "wb") as target:
                target.set_pipelined(True)
                while data := source.read(CHUNK_BYTES):
                    target.write(data)
            arrived, sent = sftp.stat(remote).st_size, local.stat().st_size
            if arrived != sent:
                raise TransferFailed(f"{arrived} of {sent} bytes of {local} arrived; is the board's disk full?")

    def _pull(self, remote: str, local: Path) -> None:
        sftp = self._files()
        if sftp is None:
            shell_files.pull(self._start_words, remote, local)
            return
        with self._transferring(remote, str(local)), sftp.open(remote, "rb") as source, local.open("wb") as target:
            source.prefetch(source.stat().st_size or 0)
            while data := source.read(CHUNK_BYTES):
                target.write(data)

    def _is_file(self, remote: str) -> bool:
        sftp = self._files()
        if sftp is None:
            return shell_files.is_file(self.run, remote)
        with self._transferring(remote, "here"):
            try:
                mode = sftp.lstat(remote).st_mode
            except FileNotFoundError:
                return False
        return mode is not None and stat.S_ISREG(mode)

    def _files(self) -> paramiko.SFTPClient | None:
        """None where sshd offers no SFTP.  Raises LinkError, NotReady."""
        with self._filing:
            self._opened()
            if self._sftp is None and not self._by_shell:
                self._sftp = self._open_sftp()
                self._by_shell = self._sftp is None
            return self._sftp

    def _open_sftp(self) -> paramiko.SFTPClient | None:
        channel = self._session()
        try:
            with mapped(lambda words: TransferFailed(f"{self.address.name} offers no SFTP: {words}")), answered(channel):
                channel.invoke_subsystem("sftp")
                return paramiko.SFTPClient(channel)
        except TransferFailed:
            with ignored():
                channel.close()
            if not self._connected():
                raise
            return None

    @contextmanager
    def _transferring(self, source: str, target: str) -> Generator[None]:
        """Raises TransferFailed; ends connections whose next answer would be taken for that of another request."""
        try:
            with mapped(lambda words: TransferFailed(f"{source[:200]} could not be copied to {target[:200]}: {words}")):
                yield
        except TransferFailed as error:
            cause = error.__cause__
            if cause is not None and (isinstance(cause, TimeoutError) or not isinstance(cause, OSError)):
                self.close()
            raise
