"""Which late results still count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.records.ordered import Ordered, refusal

LATE = Ordered("job-1", 100.0, 5)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, None),
        ({"token": 5}, None),  # a host's process died, and its dispatcher did not
        ({"token": 9}, None),  # dispatchers began in between and stored nothing
        ({"committed_token": 0}, None),
        ({"committed_token": 6}, "fenced"),  # somebody has measured there since
        ({"token": 4, "committed_token": 4}, "fenced"),  # no lease of this farm had that token yet
        ({"job_created_s": None}, "no job"),
        ({"job_created_s": 101.0}, "no job"),  # removed, and submitted again
    ],
)
def test_what_may_be_stored_late(known: dict[str, Any], why: str | None) -> None:
    usual: dict[str, Any] = {"job_created_s": 100.0, "token": 6, "committed_token": 5}
    assert refusal(LATE, **usual | known) == why


@given(late=st.integers(1, 9), token=st.integers(1, 9), committed=st.integers(0, 9))
def test_nothing_that_is_older_than_what_was_stored_ever_counts(late: int, token: int, committed: int) -> None:
    answer = refusal(Ordered("job-1", 1.0, late), job_created_s=1.0, token=token, committed_token=committed)
    assert (answer == "fenced") == (late < committed or late > token)
