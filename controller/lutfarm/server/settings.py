"""What a server allows, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of one server.  The defaults suit a farm on a local network."""

    hosts: tuple[str, ...] = LOOPBACK_NAMES  # that a request's Host may name, without a port
    loopback: bool = True  # it is bound to a loopback address alone
    largest_body_bytes: int = 8_000_000  # of a request that is no file
    largest_file_bytes: int = 2_000_000_000
    silence_s: float = 30.0  # for so long a request's body may stand still
    unread_s: float = 120.0  # for so long a piece of an answer may be left unread
    requests_per_s: float = 200.0  # of one client address, on average
    burst: int = 1000  # of one client address, at once
    most_waiting: int = 500  # jobs of one user in the queue
    dispatcher_silence_s: float = 60.0  # unseen for longer, the farm is not ready
    most_listeners: int = 100  # to events, at once
    longest_events_s: float = 600.0  # then a listener asks again, and shows its token
