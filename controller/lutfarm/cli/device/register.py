"""`lutfarm device register|discover`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.device.labels import labels_of
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows, say
from lutfarm.cli.which_farm import server, store_of
from lutfarm.home import find_home
from lutfarm_agents.device import HERE
from lutfarm_jobs.errors import SpecError


def register(
    name: Annotated[str, typer.Argument(help="How jobs name the device.")],
    local: Annotated[bool, typer.Option("--local", help="This machine.")] = False,
    adb: Annotated[str, typer.Option("--adb", help="A phone: SERIAL, or HOST:PORT.")] = "",
    ssh: Annotated[str, typer.Option("--ssh", help="A board: USER@HOST or USER@HOST:PORT.")] = "",
    via: Annotated[str, typer.Option("--via", help="By a transport that another package adds: its name.")] = "",
    address: Annotated[list[str] | None, typer.Option(help="KEY=VALUE: where the device is, for --via; may be repeated.")] = None,
    python: Annotated[
        str,
        typer.Option(
            help="The interpreter there that has the runtimes; default: lutfarm's own, or the device's python3. "
            "none: native tools only."
        ),
    ] = "",
    bundle: Annotated[
        str, typer.Option(help="A Python with a runtime for devices without: the runtime's name, or a file; see lutfarm bundle.")
    ] = "",
    key: Annotated[str, typer.Option(help="A private key file; default: the SSH agent's, and those in ~/.ssh.")] = "",
    jump: Annotated[str, typer.Option(help="Go through this host: USER@HOST[:PORT].")] = "",
    host_key: Annotated[str, typer.Option(help="The fingerprint, SHA256:..., that the board must show.")] = "",
    root: Annotated[str, typer.Option(help="A folder on the device for lutfarm's files.")] = "",
    tool: Annotated[
        list[str] | None, typer.Option(help="RUNTIME=PATH: a native benchmark tool on the device; may be repeated.")
    ] = None,
    profile: Annotated[str, typer.Option(help="The kind of device; default: what it is found to be.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; may be repeated.")] = None,
    host: Annotated[
        str,
        typer.Option(
            help="The host of a served farm on which it hangs, and where this is typed: as `host join` calls it; "
            "default: local, the server's own machine."
        ),
    ] = "",
    move: Annotated[bool, typer.Option("--move", help="It hung on another host before.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Register a device, and see that it answers."""
    # Transports and models take a second to import, which `device list` need not wait for.
    from lutfarm.devices.registration import Wanted
    from lutfarm.devices.registration import register as register_device

    with exit_codes.exits():
        if local and not host and server():
            raise SpecError(
                "--local is this machine, and the farm is a served one: say --host and what `host join` calls this machine, or "
                f"--host {HERE} on the server's own"
            )
        wanted = Wanted(
            name,
            local=local,
            adb=adb,
            ssh=ssh,
            via=via,
            address=_address(address or [], via),
            python=python,
            bundle=bundle,
            key=key,
            jump=jump,
            host_key=host_key,
            root=root,
            profile=profile,
            labels=labels_of(label or []),
            host=host or HERE,
            move=move,
            tools={name: path for name, _, path in (each.partition("=") for each in tool or [])},
        )
        place = find_home(home)
        with store_of(home, agents=True) as store:
            found = register_device(wanted, store, place, say=say)
        if json:
            print_json(
                {
                    "device": plain(found.device),
                    "hello": plain(found.hello),
                    "facts": plain(found.facts),
                    "proposal": plain(found.proposal),
                    "host_keys": found.fingerprints,
                }
            )
            return
        hello = found.hello
        runtimes = ", ".join(f"{package} {version}" for package, version in hello.runtimes.items())
        say(
            f"registered {name} as {found.device.profile}: {hello.cpu_model}, {len(hello.cpus)} cores, "
            f"{hello.python or 'native tools only'}, {runtimes or 'no runtime'}"
        )
        for remark in found.remarks():
            say(remark)


def discover(
    hosts: Annotated[
        Path | None, typer.Option(help="A file with a host a line: USER@HOST[:PORT], or adb:HOST:PORT for phones.")
    ] = None,
    key: Annotated[str, typer.Option(help="A private key file for SSH; default: the agent's, and those in ~/.ssh.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Devices that could be registered: phones that this host sees, and the hosts of a list."""
    from lutfarm.devices.ssh_key_file import private_key
    from lutfarm_agents.discovery.discover import discover as find_devices
    from lutfarm_agents.discovery.discover import read_hosts
    from lutfarm_agents.transports.adb.kind import keys_folder

    with exit_codes.exits():
        listed = read_hosts(hosts) if hosts else ()
        key_file = str(private_key(Path(key))) if key else ""
        found = find_devices(listed, keys=keys_folder(find_home(home).agents), key_file=key_file)
        if json:
            print_json([plain(each) for each in found])
        elif not found:
            say("no phone is on this host's USB or adb server; boards are asked where --hosts names a list")
        else:
            print_rows(
                ["transport", "address", "state", "model", Column("next", "prose")],
                [[c.transport, c.address, c.state, c.model, c.detail] for c in found],
            )


def _address(texts: list[str], via: str) -> dict[str, str]:
    """Raises SpecError for what would not be heeded."""
    if texts and not via:
        raise SpecError(f"--address {texts[0][:80]!r} is for another package's transport: name that with --via")
    fields: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise SpecError(f"--address {text[:80]!r}: KEY=VALUE is needed")
        if key in fields:
            raise SpecError(f"--address {text[:80]!r}: {key} is given twice")
        if key in ("root", "python", "bundle"):
            raise SpecError(f"--address {text[:80]!r}: that is --{key}")
        fields[key] = value
    return fields
