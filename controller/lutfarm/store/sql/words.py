"""The type of every text in the database."""

from __future__ import annotations

import re

from sqlalchemy import Dialect, String, TypeDecorator
from sqlalchemy import Text as AnyText
from sqlalchemy.types import TypeEngine

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # what neither PostgreSQL's nor SQLite's UTF-8 can hold
INSTEAD = "\N{REPLACEMENT CHARACTER}"


class Text(TypeDecorator[str]):
    """Sorted by code points in each database, whatever its language, so that a table has one order of rows.

    SQLite's have the length that the first schema gave them, which means nothing there; PostgreSQL's have none.  A character
    that a database can't hold (a NUL or half of a surrogate pair, from a device's output) is replaced.
    """

    impl = AnyText
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """What the database calls it."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(AnyText(collation="C"))
        return dialect.type_descriptor(AnyText() if self.length is None else String(self.length))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as SQLAlchemy calls it
        """What is stored."""
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """The text, with a mark in place of each character that a database can't hold."""
    return _UNSTORABLE.sub(INSTEAD, text)
