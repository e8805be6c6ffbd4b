"""What the command line says of itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import pytest

from lutfarm.cli.commands import COMMANDS
from lutfarm.cli.groups import LazyCommands

GROUPS = [name for name, command in COMMANDS.items() if isinstance(command, LazyCommands)]


def test_every_command_and_group_is_listed_by_its_name(lutfarm: Callable) -> None:
    shown = lutfarm("--help", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    named = [line.strip("│ ").split(" ")[0] for line in shown.stdout.splitlines()]
    assert [name for name in named if name in COMMANDS] == list(COMMANDS)


def test_it_says_its_version(lutfarm: Callable) -> None:
    shown = lutfarm("--version")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"lutfarm {version('lutfarm')}\n", "")


@pytest.mark.parametrize("group", [[], *([name] for name in GROUPS)], ids=["lutfarm", *GROUPS])
def test_without_a_command_it_shows_its_help_and_ends_well(lutfarm: Callable, group: list[str]) -> None:
    bare, asked = lutfarm(*group), lutfarm(*group, "--help")
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, asked.stdout, "")
    assert "Usage:" in bare.stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["devise", "list"], "device"), (["statsu"], "status"), (["device", "lisst"], "list"), (["lut", "exprot", "job"], "export")],
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(lutfarm: Callable, typed: list[str], meant: str) -> None:
    refused = lutfarm(*typed)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"Did you mean '{meant}'?" in refused.stderr


def test_a_command_that_resembles_none_is_refused_without_a_guess(lutfarm: Callable) -> None:
    refused = lutfarm("xyzzy")
    assert refused.returncode == 2
    assert "No such command 'xyzzy'." in refused.stderr
    assert "Did you mean" not in refused.stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("lutfarm de", ["demo", "device"]),
        ("lutfarm device re", ["register", "release", "retire", "remove"]),
        ("lutfarm run --retry", ["--retry-failed"]),
    ],
)
def test_a_shell_completes_commands_and_options(lutfarm: Callable, line: str, offered: list[str]) -> None:
    words = str(len(line.split()) - 1)
    asked = lutfarm(_LUTFARM_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=words)
    assert (asked.returncode, sorted(asked.stdout.split())) == (0, sorted(offered)), asked.stderr


def test_the_completion_of_a_shell_names_lutfarm(lutfarm: Callable) -> None:
    shown = lutfarm("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.strip().endswith("lutfarm")


@pytest.mark.parametrize("group", GROUPS)
def test_groups_offer_no_other_options_than_the_top(lutfarm: Callable, group: str) -> None:
    shown = lutfarm(group, "--help", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    assert "completion" not in shown.stdout
