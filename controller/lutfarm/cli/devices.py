"""`lutfarm device register|list|show`."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exits
from lutfarm.cli.output import HomeOption, JsonOption, plain, print_json, print_rows, say
from lutfarm.greeting import greet
from lutfarm.home import find_home
from lutfarm.store import open_store
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spec import NAME_PATTERN
from lutfarm_profiles import loader

app = typer.Typer(no_args_is_help=True, help="The devices of the farm.")


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="How jobs name the device.")],
    local: Annotated[bool, typer.Option("--local", help="This machine.")] = False,
    python: Annotated[
        Path | None, typer.Option(help="The interpreter that has the runtimes; default: lutfarm's own.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The kind of device; default: generic.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; may be repeated.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Register a device, and see that it answers."""
    with exits.exits():
        if not local:
            raise SpecError("say how the device is reached: --local is the one way there is in this version")
        if not re.fullmatch(NAME_PATTERN, name):
            raise SpecError(f"{name[:80]!r} can't be a device's name: letters, digits, . _ - only, 80 at most")
        device = Device(
            name=name,
            profile=loader.load(profile or f"generic-linux-{platform.machine()}").name,
            transport="local",
            address={"python": str(python.expanduser().absolute())} if python else {},
            labels=_labels(label or []),
        )
        place = find_home(home)
        hello = greet(device, place)
        with open_store(place.path) as store:
            store.put_device(device)
            store.put_hello(name, hello, time.time())
        if json:
            print_json({"device": plain(device), "hello": plain(hello)})
            return
        runtimes = ", ".join(f"{package} {version}" for package, version in hello.runtimes.items())
        say(f"registered {name}: {hello.cpu_model}, {len(hello.cpus)} cores, Python {hello.python}, {runtimes}")


def _labels(texts: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not re.fullmatch(NAME_PATTERN, key) or not re.fullmatch(NAME_PATTERN, value):
            raise SpecError(f"--label {text[:80]!r}: KEY=VALUE is needed, of letters, digits, . _ -")
        labels[key] = value
    return labels


@app.command("list")
def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """All registered devices."""
    with exits.exits(), open_store(find_home(home).path) as store:
        devices = store.devices()
        if json:
            print_json([plain(device) for device in devices])
        elif not devices:
            say("no device is registered; for this machine: lutfarm device register this-machine --local")
        else:
            print_rows(
                ["name", "profile", "transport", "host", "state", "labels"],
                [[d.name, d.profile, d.transport, d.host, d.state,
                  " ".join(f"{key}={value}" for key, value in d.labels.items())] for d in devices],
            )


@app.command()
def show(name: str, home: HomeOption = None, json: JsonOption = False) -> None:
    """One device, and what it last said of itself."""
    with exits.exits(), open_store(find_home(home).path) as store:
        device = store.device(name)
        if device is None:
            raise SpecError(f"no device is registered as {name[:80]!r}; see lutfarm device list")
        last = store.hello(name)
        facts = {"device": plain(device), "hello": plain(last[0]) if last else None,
                 "seen_s": last[1] if last else None}
        if json:
            print_json(facts)
            return
        rows = [[key, value] for key, value in plain(device).items()]
        rows += [[key, value] for key, value in plain(last[0]).items()] if last else []
        print_rows(["field", "value"], rows)
