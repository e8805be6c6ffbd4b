from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.server.api.paging import after_of, cursor_of, page, place_of
from lutfarm_jobs.errors import SpecError

KINDS = (float, str)


def pages(items: list[tuple[float, str]], limit: int) -> list[list[str]]:
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        one = page(sorted(items), lambda item: item, lambda item: item[1], limit=limit, after=after_of(cursor, KINDS))
        found.append(one.items)
        cursor = one.next
        if cursor is None:
            return found


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.text()), unique=True, max_size=20), st.integers(1, 7))
def test_the_pages_of_a_list_are_the_list(items: list[tuple[float, str]], limit: int) -> None:
    found = pages(items, limit)
    assert [item for one in found for item in one] == [name for _, name in sorted(items)]
    assert all(len(one) == limit for one in found[:-1])
    assert len(found[-1]) <= limit


def test_a_full_list_has_no_page_behind_it() -> None:
    assert pages([(1.0, "a"), (2.0, "b")], 2) == [["a", "b"]]


def test_what_comes_or_goes_meanwhile_moves_nothing_else() -> None:
    first = page([("a",), ("b",), ("d",)], lambda item: item, lambda item: item[0], limit=2, after=None)
    assert first.next is not None
    later = page([("a",), ("c",), ("d",)], lambda item: item, lambda item: item[0], limit=2, after=after_of(first.next, (str,)))
    assert later.items == ["c", "d"]


@given(st.text(max_size=100))
def test_a_cursor_of_somebody_elses_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="cursor"):
        place_of("!" + text, KINDS)


@pytest.mark.parametrize(
    "content", [b'[1, "a"]', b"[1.0]", b"{}", b'[1.0, "a", "b"]', b'[true, "a"]', b"[" * 5000, b"\xff", b"null"]
)
def test_a_cursor_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(SpecError, match="cursor"):
        place_of(base64.urlsafe_b64encode(content).decode().rstrip("="), KINDS)


def test_a_cursor_keeps_its_place() -> None:
    assert place_of(cursor_of((-1234567890.123, "käse-0123456789")), KINDS) == (-1234567890.123, "käse-0123456789")
