from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lutfarm.client.events import events

NAMES = st.text(st.characters(categories=["Ll"]), min_size=1, max_size=8)
DATA = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)


@given(st.lists(st.tuples(NAMES, DATA), max_size=5))
def test_what_was_written_is_read(told: list[tuple[str, str]]) -> None:
    lines = [line for name, data in told for line in (f"event: {name}", f"data: {data}", "")]
    assert list(events(lines)) == told


def test_remarks_and_what_breaks_off_are_left_out() -> None:
    lines = [": it goes on", "", "event: job", "data: 1", "data: 2", "", "id: 7", "", "data: 3", "", "event: end", "data: 4"]
    assert list(events(lines)) == [("job", "1\n2"), ("message", "3")]
