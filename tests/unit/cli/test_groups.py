"""What the list of all commands says, and that it is true."""

from __future__ import annotations

import inspect

import pytest
import typer

from lutfarm.cli import COMMANDS, LazyCommand, app
from lutfarm.cli.groups import Group


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_the_list_says_of_a_command_what_the_command_says_of_itself(name: str, command: LazyCommand) -> None:
    loaded = command.load(name)
    assert loaded.name == name
    assert inspect.cleandoc(loaded.help).split("\n\n")[0].replace("\n", " ") == command.help


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.name == "app"])
def test_each_group_helps_one_who_names_no_command(name: str) -> None:
    assert isinstance(COMMANDS[name].load(name), Group)


def test_completion_is_asked_for_at_the_top_only() -> None:
    options = {option for one in typer.main.get_command(app).params for option in one.opts}
    assert {"--install-completion", "--show-completion"} <= options
    inner = [command.load(name) for name, command in COMMANDS.items()]
    assert not [option for group in inner for one in group.params for option in one.opts if "completion" in option]
