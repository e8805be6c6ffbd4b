"""Texts as each database has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from lutfarm.store.sql.words import INSTEAD, Text, storable


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        ("a\N{BATTERY}\n\t\x01", "a\N{BATTERY}\n\t\x01"),
        ("a\0b", f"a{INSTEAD}b"),
        ("\ud800\udfff", INSTEAD * 2),
        ("file\udcff.onnx", f"file{INSTEAD}.onnx"),
    ],
)
def test_what_no_database_can_hold_is_marked(text: str, stored: str) -> None:
    assert storable(text) == stored


@given(st.text())
def test_every_text_can_be_stored_and_no_other_than_the_odd_ones_change(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored.encode().decode()
    assert len(stored) == len(text)
    assert all(after in (before, INSTEAD) for before, after in zip(text, stored, strict=True))


def test_postgresql_sorts_by_code_points_and_limits_no_length() -> None:
    assert Text(80).compile(dialect=postgresql.dialect()) == 'VARCHAR COLLATE "C"'  # type: ignore[no-untyped-call]
    assert Text(80).compile(dialect=sqlite.dialect()) == "VARCHAR(80)"  # type: ignore[no-untyped-call]
    assert Text().compile(dialect=sqlite.dialect()) == "TEXT"  # type: ignore[no-untyped-call]
