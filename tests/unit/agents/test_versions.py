"""What must be equal on all machines of one Ray."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lutfarm.agent_pool.ray.whereabouts import Versions
from lutfarm_jobs.errors import SpecError

MINE = Versions("0.1.0", "2.60.0", "3.11.9")


def test_equal_ones_go_together() -> None:
    MINE.check(replace(MINE), mine="here", others="there")


@pytest.mark.parametrize(("name", "mine"), [("lutfarm", "0.1.0"), ("ray", "2.60.0"), ("python", "3.11.9")])
def test_one_that_differs_is_named_with_both_and_no_other(name: str, mine: str) -> None:
    with pytest.raises(SpecError) as refused:
        MINE.check(replace(MINE, **{name: "9.9.9"}), mine="on the server", others="on bench")
    said = str(refused.value)
    assert said.startswith(f"{name} {mine} on the server, 9.9.9 on bench: ")
    assert "install the same on both" in said


def test_all_that_differ_are_named() -> None:
    with pytest.raises(SpecError, match=r"^lutfarm 0\.1\.0 a, 1 b; ray 2\.60\.0 a, 2 b; python 3\.11\.9 a, 3 b: "):
        MINE.check(Versions("1", "2", "3"), mine="a", others="b")
