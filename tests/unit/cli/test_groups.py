"""What the list of all commands says, and that it is true."""

from __future__ import annotations

import inspect

import pytest
import typer

from lutfarm.cli import app
from lutfarm.cli.commands import COMMANDS
from lutfarm.cli.groups import Group, LazyCommand, LazyCommands

GROUPS = {name: command for name, command in COMMANDS.items() if isinstance(command, LazyCommands)}
ALONE = {name: command for name, command in COMMANDS.items() if isinstance(command, LazyCommand)}
ALONE |= {f"{name} {inner}": command for name, group in GROUPS.items() for inner, command in group.commands.items()}


@pytest.mark.parametrize(("name", "command"), ALONE.items())
def test_the_list_says_of_a_command_what_the_command_says_of_itself(name: str, command: LazyCommand) -> None:
    loaded = command.load(name)
    assert loaded.name == name
    assert inspect.cleandoc(loaded.help).split("\n\n")[0].replace("\n", " ") == command.help


@pytest.mark.parametrize(("name", "group"), GROUPS.items())
def test_each_group_is_named_and_helps_one_who_names_no_command(name: str, group: LazyCommands) -> None:
    loaded = group.load(name)
    assert isinstance(loaded, Group)
    assert (loaded.name, loaded.help) == (name, group.help)
    assert list(loaded.commands) == list(group.commands)


def test_completion_is_asked_for_at_the_top_only() -> None:
    options = {option for one in typer.main.get_command(app).params for option in one.opts}
    assert {"--install-completion", "--show-completion"} <= options
    inner = [command.load(name) for name, command in COMMANDS.items()]
    assert not [option for group in inner for one in group.params for option in one.opts if "completion" in option]
