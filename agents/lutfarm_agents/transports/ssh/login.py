"""From an address to a connection that is let in: jump hosts, host keys, keys."""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import paramiko

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.transports.sockets import watch
from lutfarm_agents.transports.vendor import ignored, mapped
from lutfarm_jobs.errors import ConnectFailed, NotReady, RegistrationStale

CONNECT_S = 8.0
KEEPALIVE_S = 2
WINDOW_BYTES = 1 << 21


def connect(address: SshAddress) -> list[paramiko.Transport]:
    """The connections from the first jump host to the board, all authenticated.  Raises ConnectFailed, NotReady."""
    hops: list[paramiko.Transport] = []
    try:
        for hop in _chain(address):
            hops.append(_open_hop(hop, hops[-1] if hops else None))
            _authenticate(hop, hops[-1])
    except (ConnectFailed, NotReady):
        disconnect(hops)
        raise
    return hops


def disconnect(hops: Sequence[paramiko.Transport]) -> None:
    """Let go of them, the last one first."""
    for hop in reversed(hops):
        with ignored():
            hop.close()


def _chain(address: SshAddress) -> list[SshAddress]:
    return [*(_chain(address.jump) if address.jump else []), address]


def _open_hop(hop: SshAddress, through: paramiko.Transport | None) -> paramiko.Transport:
    with mapped(lambda said: ConnectFailed(f"{hop.name} can't be reached: {said}")):
        sock = (
            _direct(hop)
            if through is None
            else through.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=CONNECT_S)
        )
        transport = paramiko.Transport(sock, default_window_size=WINDOW_BYTES)
    try:
        with mapped(lambda said: ConnectFailed(f"{hop.name} answers, but not as an SSH server should: {said}")):
            transport.banner_timeout = CONNECT_S
            transport.auth_timeout = CONNECT_S
            _prefer(transport, hop.host_key)
            transport.start_client(timeout=CONNECT_S)
            transport.set_keepalive(KEEPALIVE_S)
            _check_host_key(hop, shown_key(transport))
    except (ConnectFailed, NotReady):
        disconnect([transport])
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
        disconnect(hops)


def _check_host_key(hop: SshAddress, shown: HostKey) -> None:
    if hop.host_key is not None and hop.host_key != shown:
        raise RegistrationStale(
            f"{hop.name} shows another host key: {shown.fingerprint} now, {hop.host_key.fingerprint} when it was "
            "registered.  If it was installed anew, register it again; if not, somebody else answers in its place"
        )


def _authenticate(hop: SshAddress, transport: paramiko.Transport) -> None:
    tried: list[str] = []
    with mapped(lambda said: ConnectFailed(f"{hop.name} broke off the login: {said}")), closing(_keys(hop)) as keys:
        for name, key in keys:
            tried.append(name)
            with suppress(paramiko.AuthenticationException):
                transport.auth_publickey(hop.user, key)
            if transport.is_authenticated():
                return
            if not transport.is_active():
                break  # it takes no more tries on one connection
    raise NotReady(
        f"{hop.name} takes none of these keys: {', '.join(tried) or 'there is none'}.  "
        f"Add one of them there (ssh-copy-id {hop.user}@{hop.host}), or name another with --key"
    )


def _keys(hop: SshAddress) -> Generator[tuple[str, paramiko.PKey]]:
    if hop.key_file:
        yield hop.key_file, _load(hop.key_file)
        return
    with mapped(lambda said: NotReady(f"the SSH agent does not answer: {said}; name a key file with --key")):
        agent = paramiko.Agent()
        offered = [(f"agent's {key.get_name()}", key) for key in agent.get_keys()]
    try:
        yield from offered
    finally:
        with ignored():
            agent.close()
    for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
        path = Path("~/.ssh").expanduser() / name
        if path.is_file():
            with suppress(NotReady):  # one with a passphrase belongs into the agent
                yield str(path), _load(str(path))


def _load(path: str) -> paramiko.PKey:
    def refused(said: str) -> NotReady:
        if "encrypted" in said or "password" in said.lower():
            return NotReady(f"the key {path} has a passphrase: load it with ssh-add, and don't name it")
        return NotReady(f"the key {path} can't be used: {said}")

    with mapped(refused):
        return paramiko.PKey.from_path(path)
