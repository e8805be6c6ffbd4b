"""A line from a device is a message or is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.wire import fields
from lutfarm_jobs.errors import ProtocolMismatch


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"hello"',
        '{"type": NaN}',
        '{"x": Infinity}',
        '{"x": -Infinity}',
        "[" * 100_000,
        '{"x": ' + "9" * 5000 + "}",
        "\x00",
        json.dumps({str(n): 0 for n in range(65)}),
    ],
)
def test_what_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(ProtocolMismatch):
        fields.decode(line)


@pytest.mark.parametrize(
    ("value", "said"),
    [({"x": 7}, "x = 7, not a list"), ({}, "x = None, not a list"), ({"x": [1, 2, 3]}, "x = '3 items', not at most 2")],
)
def test_what_is_no_list_of_that_length_is_refused_with_what_was_wanted(value: dict[str, object], said: str) -> None:
    with pytest.raises(ProtocolMismatch, match=f"the device sent {said}$"):
        fields.items(value, "x", 2)
    assert fields.items({"x": [1, 2]}, "x", 2) == [1, 2]


@pytest.mark.parametrize(
    ("value", "said"),
    [({"x": [7]}, r"x = \[7\], not an object"), ({"x": {"a": 1, "b": 2, "c": 3}}, "x = '3 fields', not at most 2")],
)
def test_what_is_no_object_of_that_size_is_refused_with_what_was_wanted(value: dict[str, object], said: str) -> None:
    with pytest.raises(ProtocolMismatch, match=f"the device sent {said}$"):
        fields.entries(value, "x", 2)
    assert fields.entries({"x": {"a": 1, "b": 2}}, "x", 2) == {"a": 1, "b": 2}


def test_a_number_that_overflows_is_refused() -> None:
    message = fields.decode('{"x": 1e999}')
    with pytest.raises(ProtocolMismatch, match="the device sent x = inf, not a number from"):
        fields.number(message, "x", 0, 1e300)


@given(st.text(max_size=40))
def test_no_line_raises_anything_else(line: str) -> None:
    try:
        assert isinstance(fields.decode(line), dict)
    except ProtocolMismatch:
        return
