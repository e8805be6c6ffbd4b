"""What lets somebody in at a served farm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "submitter", "operator", "admin"]


@dataclass(frozen=True, slots=True)
class Token:
    """`hashed` is a digest in hexadecimal digits: the secret itself is known to who was given it alone.  Times are Unix times."""

    id: str
    user: str
    role: Role
    hashed: str
    created_s: float
    expires_s: float | None = None  # None: it does not
    revoked_s: float | None = None
