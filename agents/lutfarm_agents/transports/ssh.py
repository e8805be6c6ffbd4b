"""Boards, through their sshd: one connection each, host keys strict, a jump host where one is named."""

from __future__ import annotations

import logging
import socket
import stat
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import paramiko

from lutfarm_agents.transports.lines import TAIL_BYTES
from lutfarm_agents.transports.remote import Process, RemoteTransport
from lutfarm_agents.transports.sockets import watch
from lutfarm_agents.transports.ssh_address import HostKey, SshAddress
from lutfarm_jobs.errors import ConnectFailed, LinkLost, NotReady, TransferFailed

CONNECT_S = 8.0
KEEPALIVE_S = 2
CHUNK_BYTES = 1 << 18
ERRORS = (paramiko.SSHException, OSError, EOFError)
WINDOW_BYTES = 1 << 21

# paramiko's thread logs every broken connection with a traceback; here each becomes an error of its own.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SshTransport(RemoteTransport):
    """One board; one connection, shared by all threads."""

    def __init__(self, address: SshAddress, *, root: str) -> None:
        super().__init__(root)
        self.address = address
        self._connecting = threading.Lock()
        self._hops: list[paramiko.Transport] = []
        self._sftp: paramiko.SFTPClient | None = None

    def connection(self) -> paramiko.Transport:
        """The open connection; made where there is none.  Raises ConnectFailed, NotReady."""
        with self._connecting:
            if not self._connected():
                self._close()
                self._hops = _connect(self.address)
            return self._hops[-1]

    def close(self) -> None:
        """Release the connection."""
        with self._connecting:
            self._close()

    def _close(self) -> None:
        hops, self._hops, self._sftp = self._hops, [], None
        for hop in reversed(hops):
            with suppress(*ERRORS):
                hop.close()

    def _connected(self) -> bool:
        return bool(self._hops) and all(hop.is_active() for hop in self._hops)

    def _start(self, command: str) -> Process:
        try:
            channel = self.connection().open_session(timeout=CONNECT_S)
            with _answered(channel):
                channel.exec_command(command)
        except ERRORS as error:
            self.close()
            raise LinkLost(f"{self.address.name} did not start a command: {_words(error)}") from error
        return ChannelProcess(channel, self.address.name)

    def _push(self, local: Path, remote: str) -> None:
        sftp = self._files()
        try:
            with local.open("rb") as source, sftp.open(remote, "wb") as target:
                target.set_pipelined(True)
                while data := source.read(CHUNK_BYTES):
                    target.write(data)
            arrived, sent = sftp.stat(remote).st_size, local.stat().st_size
            if arrived != sent:
                raise TransferFailed(f"{arrived} of {sent} bytes of {local} arrived; is the board's disk full?")
        except ERRORS as error:
            raise self._transfer_failed(error, str(local), remote) from error

    def _pull(self, remote: str, local: Path) -> None:
        sftp = self._files()
        try:
            with sftp.open(remote, "rb") as source, local.open("wb") as target:
                source.prefetch(source.stat().st_size or 0)
                while data := source.read(CHUNK_BYTES):
                    target.write(data)
        except ERRORS as error:
            raise self._transfer_failed(error, remote, str(local)) from error

    def _is_file(self, remote: str) -> bool:
        sftp = self._files()
        try:
            mode = sftp.lstat(remote).st_mode
        except FileNotFoundError:
            return False
        except ERRORS as error:
            raise self._transfer_failed(error, remote, "here") from error
        return mode is not None and stat.S_ISREG(mode)

    def _files(self) -> paramiko.SFTPClient:
        connection = self.connection()
        with self._connecting:
            if self._sftp is None:
                try:
                    channel = connection.open_session(window_size=WINDOW_BYTES, timeout=CONNECT_S)
                    with _answered(channel):
                        channel.invoke_subsystem("sftp")
                        self._sftp = paramiko.SFTPClient(channel)
                except ERRORS as error:
                    raise TransferFailed(f"{self.address.name} offers no SFTP: {_words(error)}") from error
            return self._sftp

    def _transfer_failed(self, error: BaseException, source: str, target: str) -> TransferFailed:
        if isinstance(error, TimeoutError | EOFError | paramiko.SSHException):
            self.close()                           # its answers would be taken for those of the next request
        return TransferFailed(f"{source[:200]} could not be copied to {target[:200]}: {_words(error)}")


class ChannelProcess:
    """A process behind a channel of an SSH connection."""

    def __init__(self, channel: paramiko.Channel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._tail = bytearray()
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Event()
        for pipe in (channel.in_buffer, channel.in_stderr_buffer):
            pipe.set_event(self._news)

    def write(self, data: bytes, timeout_s: float) -> None:
        """All of it.  Raises LinkLost."""
        if self._channel.exit_status_ready():
            raise LinkLost(f"the process on {self._name} has ended")
        deadline_s = time.monotonic() + timeout_s
        rest = memoryview(data)
        with self._sending:
            while rest:
                try:
                    self._channel.settimeout(max(0.01, deadline_s - time.monotonic()))
                    sent = self._channel.send(bytes(rest[:65_536]))
                except ERRORS as error:
                    raise LinkLost(f"{self._name} took nothing for {timeout_s:g} s: {_words(error)}") from error
                if not sent:
                    raise LinkLost(f"the process on {self._name} has ended")
                rest = rest[sent:]

    def read(self, timeout_s: float) -> bytes | None:
        """Some output; b"" at its end, None where none came in time.  Raises LinkLost where the link broke."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while True:
                self._news.clear()
                self._drain_stderr()
                if self._channel.recv_ready():
                    return self._receive()
                if self._channel.eof_received or self._channel.closed:
                    data = self._receive()         # what came just before the end
                    if not data:
                        self._raise_if_lost()
                    return data
                if not self._news.wait(max(0.0, deadline_s - time.monotonic())):
                    self._raise_if_lost()
                    return None

    def status(self, timeout_s: float) -> int | None:
        """Exit status, -9 where a signal ended the shell above it; None where it has not ended.  Raises LinkLost."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while not self._channel.status_event.wait(0.02):
                self._drain_stderr()
                if time.monotonic() > deadline_s:
                    self._raise_if_lost()
                    return None
            self._drain_stderr()
        code = self._channel.exit_status
        if code < 0:
            self._raise_if_lost()
            return -9                              # paramiko keeps no name; only what lutfarm kills ends so
        return code if code <= 128 else 128 - code

    @property
    def stderr_tail(self) -> str:
        """The end of what it said there."""
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of it."""
        with suppress(*ERRORS):
            self._channel.close()

    def _receive(self) -> bytes:
        try:
            self._channel.settimeout(0.0)
            return self._channel.recv(65_536)
        except TimeoutError:
            return b""
        except ERRORS as error:
            raise LinkLost(f"{self._name}: {_words(error)}") from error

    def _raise_if_lost(self) -> None:
        transport = self._channel.get_transport()
        if not transport.is_active():
            raise LinkLost(f"{self._name} went away: the connection broke")

    def _drain_stderr(self) -> None:
        # Output and noise share one window: noise that nobody takes would stop the output.
        with suppress(*ERRORS):
            while self._channel.recv_stderr_ready():
                self._tail += self._channel.recv_stderr(65_536)
                del self._tail[:-TAIL_BYTES]


@contextmanager
def _answered(channel: paramiko.Channel) -> Generator[None]:
    """Closes the channel where the other side does not answer a request in time.

    Its time-out is for data alone: for the answer to a request paramiko waits as long as the connection lives, which outlives
    an sshd that was stopped between one message and the next.
    """
    channel.settimeout(CONNECT_S)

    def give_up() -> None:
        with suppress(EOFError, OSError, paramiko.SSHException):     # the connection itself ended meanwhile
            channel.close()

    late = threading.Timer(CONNECT_S, give_up)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def _connect(address: SshAddress) -> list[paramiko.Transport]:
    """The connections from the first jump host to the board, all authenticated.  Raises ConnectFailed, NotReady."""
    hops: list[paramiko.Transport] = []
    try:
        for hop in _chain(address):
            hops.append(_open_hop(hop, hops[-1] if hops else None))
            _authenticate(hop, hops[-1])
    except (ConnectFailed, NotReady):
        for opened in reversed(hops):
            opened.close()
        raise
    return hops


def _chain(address: SshAddress) -> list[SshAddress]:
    return [*(_chain(address.jump) if address.jump else []), address]


def _open_hop(hop: SshAddress, through: paramiko.Transport | None) -> paramiko.Transport:
    try:
        sock = _direct(hop) if through is None else through.open_channel(
            "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=CONNECT_S
        )
        transport = paramiko.Transport(sock, default_window_size=WINDOW_BYTES)
    except ERRORS as error:
        raise ConnectFailed(f"{hop.name} can't be reached: {_words(error)}") from error
    try:
        transport.banner_timeout = CONNECT_S
        transport.auth_timeout = CONNECT_S
        _prefer(transport, hop.host_key)
        transport.start_client(timeout=CONNECT_S)
        transport.set_keepalive(KEEPALIVE_S)
        _check_host_key(hop, shown_key(transport))
    except ERRORS as error:
        transport.close()
        raise ConnectFailed(f"{hop.name} answers, but not as an SSH server should: {_words(error)}") from error
    except NotReady:
        transport.close()
        raise
    return transport


def _direct(hop: SshAddress) -> socket.socket:
    sock = socket.create_connection((hop.host, hop.port), timeout=CONNECT_S)
    watch(sock, lost_after_ms=6000)
    return sock


def _prefer(transport: paramiko.Transport, recorded: HostKey | None) -> None:
    """Ask for the kind of key that is recorded: a server has several, and shows one."""
    if recorded is None:
        return
    options = transport.get_security_options()
    kinds = list(options.key_types)
    wanted = [k for k in kinds if k == recorded.kind or (recorded.kind == "ssh-rsa" and k.startswith("rsa-sha2"))]
    options.key_types = tuple(wanted + [kind for kind in kinds if kind not in wanted])


def shown_key(transport: paramiko.Transport) -> HostKey:
    """The host key that the other side showed and proved."""
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.get_base64())


def host_keys(address: SshAddress) -> list[HostKey]:
    """The keys that the jump hosts and the board show, in that order, before anything is believed.

    Raises ConnectFailed; NotReady where a jump host does not let us in.
    """
    hops: list[paramiko.Transport] = []
    chain = _chain(address)
    try:
        for hop in chain:
            hops.append(_open_hop(hop, hops[-1] if hops else None))
            if hop is not chain[-1]:
                _authenticate(hop, hops[-1])
        return [shown_key(hop) for hop in hops]
    finally:
        for opened in reversed(hops):
            opened.close()


def _check_host_key(hop: SshAddress, shown: HostKey) -> None:
    if hop.host_key is not None and hop.host_key != shown:
        raise NotReady(
            f"{hop.name} shows another host key: {shown.fingerprint} now, {hop.host_key.fingerprint} when it was "
            "registered.  If it was installed anew, register it again; if not, somebody else answers in its place"
        )


def _authenticate(hop: SshAddress, transport: paramiko.Transport) -> None:
    tried: list[str] = []
    try:
        with closing(_keys(hop)) as keys:
            for name, key in keys:
                tried.append(name)
                with suppress(paramiko.AuthenticationException):
                    transport.auth_publickey(hop.user, key)
                if transport.is_authenticated():
                    return
                if not transport.is_active():
                    break                          # it takes no more tries on one connection
    except ERRORS as error:
        raise ConnectFailed(f"{hop.name} broke off the login: {_words(error)}") from error
    raise NotReady(
        f"{hop.name} takes none of these keys: {', '.join(tried) or 'there is none'}.  "
        f"Add one of them there (ssh-copy-id {hop.user}@{hop.host}), or name another with --key"
    )


def _keys(hop: SshAddress) -> Generator[tuple[str, paramiko.PKey]]:
    if hop.key_file:
        yield hop.key_file, _load(hop.key_file)
        return
    agent = paramiko.Agent()
    try:
        for key in agent.get_keys():
            yield f"agent's {key.get_name()}", key
    finally:
        agent.close()
    for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
        path = Path("~/.ssh").expanduser() / name
        if path.is_file():
            with suppress(NotReady):               # one with a passphrase belongs into the agent
                yield str(path), _load(str(path))


def _load(path: str) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except (*ERRORS, ValueError, TypeError) as error:
        if isinstance(error, paramiko.PasswordRequiredException) or "password" in str(error):
            raise NotReady(f"the key {path} has a passphrase: load it with ssh-add, and don't name it") from error
        raise NotReady(f"the key {path} can't be used: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return str(error)[:300] or type(error).__name__
