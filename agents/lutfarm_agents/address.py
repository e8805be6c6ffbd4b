"""Where a board is, and by which key it is known."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from lutfarm_jobs.errors import NotReady


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
class SshAddress:
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
