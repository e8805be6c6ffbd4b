"""`lutfarm serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import ExecutorOption, executor_of
from lutfarm.cli.terminal.output import HomeOption, say
from lutfarm.home import find_home


def serve(
    home: HomeOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine's own need tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any that is free.", min=0, max=65535)] = 8420,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A name by which others know this machine; may be given again.")
    ] = None,
    ray_host: Annotated[
        str | None,
        typer.Option("--ray-host", help="This machine's address for hosts that join; without it those of this machine."),
    ] = None,
    executor: ExecutorOption = None,
) -> None:
    """Serve the farm: take jobs from many people over HTTP and measure them, until Ctrl-C or SIGTERM."""
    with exit_codes.exits():
        from lutfarm.server.keeper import LOOPBACK
        from lutfarm.server.logs import log_lines
        from lutfarm.server.serve import Listening, serve

        chosen, place = executor_of(executor), find_home(home)
        where = Listening(host, port, tuple(name or ()), ray_host or LOOPBACK)
        log_lines("server")
        who = "whoever has a token" + (", and while there is none whoever reaches it" if where.settings.loopback else "")

        def ready(address: str) -> None:
            say(f"serving {place.path} at {address}; it lets in {who}; what is measured goes through {chosen.kind}")
            if chosen.why:
                say(chosen.why)

        serve(place, where, chosen.kind, ready)
