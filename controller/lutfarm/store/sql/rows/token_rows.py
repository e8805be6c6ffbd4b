"""Who may come in at a served farm, over SQLAlchemy Core."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import insert, or_, select, update

from lutfarm.records.token import Token
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.schema import tokens
from lutfarm_jobs.errors import SpecError

DIGEST = re.compile("[0-9a-f]{64,128}")  # of SHA-256 or longer: what is shorter could be a secret itself


class TokenRows(Database):
    """The part of a store that knows tokens, by their digests."""

    def put_token(self, token: Token) -> None:
        if not DIGEST.fullmatch(token.hashed):
            raise SpecError(
                f"the token {token.id[:80]} comes with no digest of 64 to 128 hexadecimal digits; a secret is not stored"
            )
        with self._write() as db:
            if db.execute(select(tokens.c.id).where(or_(tokens.c.id == token.id, tokens.c.hashed == token.hashed))).first():
                raise SpecError(f"there is a token {token.id[:80]} already, or one of the same secret; make another one")
            db.execute(insert(tokens).values(**asdict(token)))

    def token_of(self, hashed: str) -> Token | None:
        with self._read() as db:
            row = db.execute(select(tokens).where(tokens.c.hashed == hashed)).first()
        return None if row is None else Token(*row)

    def tokens(self) -> Sequence[Token]:
        with self._read() as db:
            rows = db.execute(select(tokens).order_by(tokens.c.created_s, tokens.c.id)).all()
        return [Token(*row) for row in rows]

    def revoke_token(self, token_id: str, now_s: float) -> bool:
        good = update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_s.is_(None))
        with self._write() as db:
            return db.execute(good.values(revoked_s=now_s)).rowcount > 0
