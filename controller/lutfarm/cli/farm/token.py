"""`lutfarm token create|list|revoke`: who may come in at a served farm."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, print_json, print_rows, printable, say
from lutfarm.home import find_home
from lutfarm.records.token import Role, Token
from lutfarm.store import open_store
from lutfarm_jobs.errors import NotFound

MINUTE = "%Y-%m-%d %H:%M UTC"
DAY_S = 86_400.0


def create(
    user: Annotated[str, typer.Argument(help="Whose it is: the jobs that come with it are theirs.")],
    role: Annotated[Role, typer.Option(help="What it lets them do; each role may do what those before it may.")],
    days: Annotated[
        float | None, typer.Option(min=0.001, max=36_500, help="For so many days; default: until it is revoked.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token.  Its text is printed once and never stored; from the first one on nobody comes in without."""
    with exit_codes.exits("interrupted; lutfarm token list says whether it was made"), open_store(find_home(home).path) as store:
        from lutfarm.server.admission.tokens import new_token

        now_s = time.time()
        made, text = new_token(user, role, now_s, expires_s=None if days is None else now_s + days * DAY_S)
        store.put_token(made)
        if json:
            print_json(_shown(made) | {"token": text})
            return
        print(text)
        until = "until it is revoked" if made.expires_s is None else f"until {_moment(made.expires_s)}"
        say(f"token {made.id} of {made.user}, {made.role}, good {until}; shown this once; send it as `Authorization: Bearer`")


def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """All tokens, also those that expired or were revoked; never their text."""
    with exit_codes.exits(), open_store(find_home(home).path, to_read=True) as store:
        found = store.tokens()
        if json:
            print_json([_shown(token) for token in found])
        elif not found:
            say("no token was made yet: lutfarm token create USER --role ROLE; until then only this machine is served")
        else:
            now_s = time.time()
            print_rows(
                ["id", "user", "role", "created", Column("state", "prose")],
                [[t.id, t.user, t.role, _moment(t.created_s), _state(t, now_s)] for t in found],
            )


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Its id: see lutfarm token list.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a token back, at once.  Where it was the last one, nobody comes in until another is made."""
    with exit_codes.exits("interrupted; lutfarm token list says whether it is revoked"):
        with open_store(find_home(home).path, begun=True) as store:
            revoked = store.revoke_token(token_id, time.time())
            if not revoked and token_id not in {token.id for token in store.tokens()}:
                raise NotFound(f"no token is called {token_id[:80]!r}; see lutfarm token list")
        if json:
            print_json({"id": token_id, "revoked_now": revoked})
        else:
            say(printable(f"token {token_id} is revoked" if revoked else f"token {token_id} was revoked before"))


def _shown(token: Token) -> dict[str, object]:
    """Without the digest, which is of no use to anybody."""
    return {
        "id": token.id,
        "user": token.user,
        "role": token.role,
        "created_s": token.created_s,
        "expires_s": token.expires_s,
        "revoked_s": token.revoked_s,
    }


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime(MINUTE)


def _state(token: Token, now_s: float) -> str:
    if token.revoked_s is not None:
        return f"revoked {_moment(token.revoked_s)}"
    if token.expires_s is None:
        return "good until it is revoked"
    return f"{'expired' if token.expires_s <= now_s else 'good until'} {_moment(token.expires_s)}"
