"""`lutfarm host`."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import HomeOption, say
from lutfarm.home import find_home

TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="LUTFARM_TOKEN", help="What lets you in; see lutfarm token.", show_envvar=True)
]


def join(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="The farm's server, for example http://farm:8420.")],
    name: Annotated[str | None, typer.Option("--name", help="The host's name in the farm; default: this machine's.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Under which the server reaches this machine; default: that of the way there.")
    ] = None,
    home: HomeOption = None,
    token: TokenOption = None,
) -> None:
    """Let a farm measure on the devices that hang on this machine, until Ctrl-C or SIGTERM."""
    with exit_codes.exits():
        from lutfarm.client.link import Link
        from lutfarm.execution.open_farm import measured_half
        from lutfarm.home import require_writable
        from lutfarm.hosts.farm_server import FarmServer
        from lutfarm.hosts.join import ThisHost
        from lutfarm.hosts.join import join as keep_joined

        place = find_home(home)
        require_writable(place)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: ended.set())
        host = ThisHost(name or socket.gethostname(), address or _way_to(server), place.agents, measured_half())
        with Link(server, token or "") as link:
            keep_joined(host, FarmServer(link), ended=ended.wait, tell=say)


def _way_to(server: str) -> str:
    """This machine's address on the way to the server.  Raises BadParameter."""
    where = urlsplit(server)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise typer.BadParameter(f"{server!r} is no address of a server, such as http://farm:8420", param_hint="SERVER")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((where.hostname, where.port or 80))  # nothing is sent
            return str(way.getsockname()[0])
    except OSError as error:
        raise typer.BadParameter(f"{where.hostname}: {error.strerror or error}", param_hint="SERVER") from error
