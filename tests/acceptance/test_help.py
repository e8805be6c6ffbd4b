"""What --help shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lutfarm.cli import COMMANDS


def test_every_command_and_group_is_listed_by_its_name(lutfarm: Callable) -> None:
    shown = lutfarm("--help", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    named = [line.strip("│ ").split(" ")[0] for line in shown.stdout.splitlines()]
    assert [name for name in named if name in COMMANDS] == list(COMMANDS)


@pytest.mark.parametrize("group", ["device", "bundle"])
def test_groups_offer_no_other_options_than_the_top(lutfarm: Callable, group: str) -> None:
    shown = lutfarm(group, "--help", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    assert "completion" not in shown.stdout
