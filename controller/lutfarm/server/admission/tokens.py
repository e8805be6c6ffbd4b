"""Tokens: how one is made, and who comes in with one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from lutfarm.records.token import Role, Token
from lutfarm.server.admission.roles import Caller
from lutfarm.store.interface import TokenStore
from lutfarm_jobs.errors import SpecError, TokenRefused
from lutfarm_jobs.job_file.fields import NAME_PATTERN

PREFIX = "lutfarm_"  # so that a secret that lies somewhere is known for what it is
SECRET_BYTES = 32
LONGEST_TEXT = 200
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers that a proxy adds: who asks is elsewhere, whatever the address says."""


def new_token(user: str, role: Role, now_s: float, *, expires_s: float | None = None) -> tuple[Token, str]:
    """What is stored, and the text that is shown once.  Raises SpecError."""
    if not re.fullmatch(NAME_PATTERN, user):
        raise SpecError(f"{user[:80]!r} is no user's name: letters, digits, . _ -, of which the first is a letter or digit")
    if expires_s is not None and expires_s <= now_s:
        raise SpecError("a token that has expired lets nobody in; give a time to come")
    text = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    return Token(secrets.token_hex(4), user, role, digest(text), now_s, expires_s), text


def digest(text: str) -> str:
    """What is stored of a token's text.  It holds 256 bits of chance, so that a slow digest would protect nothing."""
    return hashlib.sha256(text.encode()).hexdigest()


def caller_of(store: TokenStore, headers: Mapping[str, str], now_s: float, *, local: bool) -> Caller | TokenRefused:
    """Who asks, or why nobody is let in.  `local`: from this machine, at a server that no other machine reaches.

    Where no token was ever made, whoever is `local` is the admin.  A token that expired or was revoked still counts as made.
    """
    sent = headers.get("authorization")
    if sent is not None:
        return _bearer(store, sent, now_s)
    if store.tokens():
        return TokenRefused("a token is needed: send `Authorization: Bearer TOKEN`; lutfarm token create makes one")
    if not local:
        return TokenRefused("no token was made yet: lutfarm token create USER --role admin, on the farm's own machine")
    if any(name in headers for name in FORWARDED):
        return TokenRefused("this came through a proxy, so that a token is needed: lutfarm token create USER --role admin")
    return Caller("", "admin")


def _bearer(store: TokenStore, sent: str, now_s: float) -> Caller | TokenRefused:
    scheme, _, text = sent.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(text) <= LONGEST_TEXT:
        return TokenRefused("the Authorization header is not understood; send `Authorization: Bearer TOKEN`")
    hashed = digest(text.strip())
    found = store.token_of(hashed)
    if found is None or not hmac.compare_digest(found.hashed, hashed):
        return TokenRefused("this token is not known here; lutfarm token create makes one")
    if found.revoked_s is not None:
        return TokenRefused(f"the token {found.id} was revoked; ask for another")
    if found.expires_s is not None and found.expires_s <= now_s:
        at = datetime.fromtimestamp(found.expires_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return TokenRefused(f"the token {found.id} expired at {at}; ask for another")
    return Caller(found.user, found.role)


def require_tokens(store: TokenStore, *, loopback: bool, now_s: float) -> None:
    """Raises SpecError where a server that other machines reach would let nobody in, or somebody without a token."""
    good = [t for t in store.tokens() if t.revoked_s is None and (t.expires_s is None or t.expires_s > now_s)]
    if not loopback and not good:
        raise SpecError(
            "other machines would reach this server, and it has no token that is good: make one first, "
            "lutfarm token create USER --role admin, or serve this machine alone (--host 127.0.0.1)"
        )
