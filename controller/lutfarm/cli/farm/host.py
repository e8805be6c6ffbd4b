"""`lutfarm host join|list|drain|remove`."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, duration, print_json, print_rows, printable, say
from lutfarm.home import TOKEN, find_home
from lutfarm_jobs.job_file.fields import NAME_PATTERN

TokenOption = Annotated[
    str | None, typer.Option("--token", envvar=TOKEN, help="What lets you in; see lutfarm token.", show_envvar=True)
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
        from lutfarm.hosts.farm_server import ANSWERS_S, FarmServer
        from lutfarm.hosts.join import ThisHost
        from lutfarm.hosts.join import join as keep_joined

        place = find_home(home)
        require_writable(place)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: ended.set())
        host = ThisHost(_named(name or socket.gethostname()), _own(address or _way_to(server)), place.agents, measured_half())
        with Link(server, token or "", silence_s=ANSWERS_S) as link:
            keep_joined(host, FarmServer(link), ended=ended.wait, tell=say)


def _named(name: str) -> str:
    """Raises BadParameter."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(f"{name[:80]!r}: letters, digits, . _ - only, 80 at most", param_hint="--name")
    return name


def _own(address: str) -> str:
    """An address of this machine.  Raises BadParameter."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
            held.bind((address, 0))
    except OSError as error:
        seen = f"{address[:80]} is no address of this machine ({error.strerror or error}); see ip address"
        raise typer.BadParameter(seen, param_hint="--address") from error
    return address


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


HostName = Annotated[str, typer.Argument(metavar="HOST")]


def list_(json: JsonOption = False) -> None:
    """The hosts of a served farm: whether they are there, and what hangs on them."""
    with exit_codes.exits():
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            found = list(farm.hosts())
        if json:
            print_json([host.model_dump(mode="json") for host in found])
        elif not found:
            say("no host has joined; the server's own machine is always there. On another: lutfarm host join SERVER")
        else:
            print_rows(
                ["host", "state", "address", "seen", "lutfarm", "ray", "python", Column("devices", "prose")],
                [[h.name, h.state, h.address, _ago(h.seen_s), h.lutfarm, h.ray, h.python, ", ".join(h.devices)] for h in found],
            )


def _ago(seen_s: float) -> str:
    return f"{duration(max(0.0, time.time() - seen_s))} ago" if seen_s else "not joined"


def drain(host: HostName, json: JsonOption = False) -> None:
    """Take all devices of a host out of work for maintenance; each ends its present order."""
    with exit_codes.exits():
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            held = farm.drain_host(host).held
        if json:
            print_json({"held": held})
        else:
            say(printable(f"in maintenance now: {', '.join(held)}" if held else "all its devices were out of work already"))


def remove(host: HostName) -> None:
    """Forget a host that is lost and on which no device is registered."""
    with exit_codes.exits():
        from lutfarm.cli.which_farm import served_farm

        with served_farm() as farm:
            farm.remove_host(host)
        say(printable(f"{host} is forgotten"))
