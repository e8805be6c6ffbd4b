from __future__ import annotations

from dataclasses import replace

import pytest

from lutfarm.records.token import Token
from lutfarm.server.admission.roles import Caller
from lutfarm.server.admission.tokens import PREFIX, SECRET_BYTES, caller_of, digest, new_token, require_tokens
from lutfarm_jobs.errors import SpecError, TokenRefused


class Tokens:
    """A store of tokens, without a database."""

    def __init__(self, *kept: Token) -> None:
        self.kept = list(kept)

    def put_token(self, token: Token) -> None:
        self.kept.append(token)

    def token_of(self, hashed: str) -> Token | None:
        return next((token for token in self.kept if token.hashed == hashed), None)

    def tokens(self) -> list[Token]:
        return self.kept

    def revoke_token(self, token_id: str, now_s: float) -> bool:
        raise NotImplementedError


NOW_S = 1_000.0
ANN, TEXT = new_token("ann", "operator", NOW_S, expires_s=NOW_S + 10)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_a_token_is_its_text_once_and_a_digest_ever_after() -> None:
    assert TEXT.startswith(PREFIX)
    assert len(TEXT.removeprefix(PREFIX)) * 6 >= SECRET_BYTES * 8
    assert SECRET_BYTES * 8 >= 256
    assert ANN.hashed == digest(TEXT)
    assert TEXT not in repr(ANN)
    assert len({new_token("ann", "viewer", NOW_S)[1] for _ in range(100)}) == 100


@pytest.mark.parametrize("user", ["", "a b", "<b>", "-x", "a" * 81, "a\n"])
def test_a_user_has_a_name(user: str) -> None:
    with pytest.raises(SpecError, match="no user's name"):
        new_token(user, "viewer", NOW_S)


def test_a_token_that_has_expired_is_not_made() -> None:
    with pytest.raises(SpecError, match="a time to come"):
        new_token("ann", "viewer", NOW_S, expires_s=NOW_S)


@pytest.mark.parametrize("local", [True, False])
def test_who_has_a_good_token_comes_in_from_anywhere(local: bool) -> None:
    assert caller_of(Tokens(ANN), bearer(TEXT), NOW_S, local=local) == Caller("ann", "operator")
    assert caller_of(Tokens(ANN), {"authorization": f"bearer {TEXT}"}, NOW_S, local=local) == Caller("ann", "operator")


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    ("token", "text", "now_s", "words"),
    [
        (ANN, TEXT, NOW_S + 10, "expired"),
        (replace(ANN, expires_s=None, revoked_s=NOW_S), TEXT, NOW_S, "revoked"),
        (ANN, TEXT[:-1], NOW_S, "not known"),
        (ANN, ANN.hashed, NOW_S, "not known"),
        (ANN, "", NOW_S, "not understood"),
        (ANN, "x" * 100_000, NOW_S, "not understood"),
        (ANN, "é", NOW_S, "not known"),
    ],
    ids=["expired", "revoked", "cut short", "a digest", "empty", "long", "of other letters"],
)
def test_who_has_none_stays_out(local: bool, token: Token, text: str, now_s: float, words: str) -> None:
    refused = caller_of(Tokens(token), bearer(text), now_s, local=local)
    assert isinstance(refused, TokenRefused)
    assert words in refused.detail
    assert TEXT not in refused.detail


@pytest.mark.parametrize("sent", [f"Basic {TEXT}", TEXT, "Bearer", ""], ids=["basic", "bare", "no token", "nothing"])
def test_another_scheme_is_not_understood(sent: str) -> None:
    assert isinstance(caller_of(Tokens(ANN), {"authorization": sent}, NOW_S, local=True), TokenRefused)


def test_without_any_token_this_machine_alone_is_let_in() -> None:
    assert caller_of(Tokens(), {}, NOW_S, local=True) == Caller("", "admin")
    assert isinstance(caller_of(Tokens(), {}, NOW_S, local=False), TokenRefused)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_what_came_through_a_proxy_is_not_of_this_machine(header: str) -> None:
    assert isinstance(caller_of(Tokens(), {header: "10.0.0.1"}, NOW_S, local=True), TokenRefused)


def test_from_the_first_token_on_this_machine_needs_one_too_even_when_it_is_revoked() -> None:
    for token in (ANN, replace(ANN, revoked_s=NOW_S), replace(ANN, expires_s=1.0)):
        assert isinstance(caller_of(Tokens(token), {}, NOW_S, local=True), TokenRefused)


def test_a_server_that_others_reach_does_not_start_without_a_good_token() -> None:
    for kept in ((), (replace(ANN, revoked_s=1.0),), (replace(ANN, expires_s=NOW_S),)):
        with pytest.raises(SpecError, match="lutfarm token create"):
            require_tokens(Tokens(*kept), loopback=False, now_s=NOW_S)
        require_tokens(Tokens(*kept), loopback=True, now_s=NOW_S)
    require_tokens(Tokens(ANN), loopback=False, now_s=NOW_S)
