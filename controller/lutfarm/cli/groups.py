"""Groups of commands: help for one who names none of them, and modules that are imported when their command is used."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Group(TyperGroup):
    """A group that shows its help on standard output, and ends well, where no command follows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The rest of the line; nothing at all asks for help, but not while a shell completes it."""
        return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["--help"])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each with the whole first paragraph of its help, which would be cut at the end of a line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_paragraph(command.help)) for name, command in commands if command])


def _first_paragraph(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split("\n"))


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is not imported yet: module, name there, and what the list of commands says of it."""

    module: str
    name: str
    help: str

    def load(self, command_name: str) -> Any:
        """Import it.  Ends the program, and says what to install, where something is missing that the command needs."""
        from lutfarm.cli.exit_codes import exits  # and what prints: the list of commands needs neither

        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        with exits():
            found = importlib.import_module(self.module)
        alone.command(command_name)(getattr(found, self.name))
        return typer.main.get_command(alone)


@dataclass(frozen=True, slots=True)
class LazyCommands:
    """A group of such commands."""

    commands: Mapping[str, LazyCommand]
    help: str

    def load(self, command_name: str) -> Any:
        """The group; nothing of its commands is imported."""

        class Commands(LazyGroup):
            lazy = self.commands

        found = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        found.callback(help=self.help)(_nothing)
        command = typer.main.get_command(found)
        command.name = command_name  # a group has none of its own, and --help would show a blank
        return command


def _nothing() -> None:
    """What a group does before its commands."""


class LazyGroup(Group):
    """A group that imports a command's module when the command is used; its help and a shell's completion need none."""

    lazy: Mapping[str, LazyCommand | LazyCommands] = {}

    def __init__(self, **settings: Any) -> None:
        settings["commands"] = {name: TyperCommand(name, help=command.help) for name, command in self.lazy.items()}
        super().__init__(**settings)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the line names, imported."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, self.lazy[name].load(name) if name and listed else None, rest
