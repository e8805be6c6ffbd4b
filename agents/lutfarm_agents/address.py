"""Where a device is, by the way there; and by which key a board is known."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from lutfarm_jobs.errors import NotReady


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What every address says beside the way there.  Each transport has a kind of its own."""

    here: ClassVar[bool] = False  # the device is the machine that lutfarm runs on

    root: str = ""  # lutfarm's folder on the device
    python: str = ""  # the interpreter there
    bundle: str = ""  # the file here of a bundle that is used instead
    tools: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)  # native tools: runtime -> path there


@dataclass(frozen=True, slots=True)
class LocalAddress(Address):
    """This machine."""

    here: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class AdbAddress(Address):
    """A phone by its serial number, or HOST:PORT."""

    serial: str = ""


@dataclass(frozen=True, slots=True)
class UnknownAddress(Address):
    """Of a transport that is not installed here, or that can't be read: kept as it was stored, and leads nowhere."""

    fields: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)
    why: str = ""  # it can't be read


@dataclass(frozen=True, slots=True)
class HostKey:
    """A board's public host key, as its known_hosts line has it: type and base64."""

    kind: str
    blob: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `ssh-ed25519 AAAA...`.  Raises NotReady."""
        kind, _, blob = text.partition(" ")
        try:
            base64.b64decode(blob, validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotReady(f"the recorded host key {text[:40]!r} is none; register the device again") from error
        return cls(kind, blob)

    @property
    def text(self) -> str:
        """For the device's address in the store."""
        return f"{self.kind} {self.blob}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class SshAddress(Address):
    """How to reach a board.  `host_key` is None only while the device is being registered."""

    host: str
    user: str
    port: int = 22
    key_file: str = ""  # empty: the user's agent and default keys
    host_key: HostKey | None = None
    jump: SshAddress | None = None

    @property
    def name(self) -> str:
        """USER@HOST:PORT."""
        return f"{self.user}@{self.host}:{self.port}"
