"""`lutfarm device check|hold|release|retire|label|remove`."""

from __future__ import annotations

import socket
import time
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.device.labels import labels_of
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows, printable, say
from lutfarm.cli.which_farm import NAMES_ONE, server, store_of
from lutfarm.devices import maintenance
from lutfarm.home import find_home
from lutfarm.records.device_state import DeviceRecord
from lutfarm_agents.health.check import HealthReport
from lutfarm_agents.health.findings import Finding
from lutfarm_jobs.errors import SpecError

HostOption = Annotated[
    str,
    typer.Option(help="What a served farm calls this machine: as `host join` does; local: the server's own. Default: its name."),
]
NameArgument = Annotated[str, typer.Argument(help="The device's name.")]


def check(
    name: Annotated[str, typer.Argument(help="The device's name.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All that are not retired; of a served farm, those of this host.")] = False,
    host: HostOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Is a device fit to measure?  Exit 0 if it is, 3 if not.  A device that passes comes back from quarantine.

    With --all every device is looked at, whatever became of the others; the exit code is the worst.
    """
    # Transports and models take a second to import, which `device hold` need not wait for.
    from lutfarm.devices.health_check import Checked, NotChecked, check_devices, in_use

    with exit_codes.exits():
        if all_ == bool(name):
            raise SpecError("name one device, or say --all")
        place, here = find_home(home), _here(host)

        def tell(one: Checked | NotChecked) -> None:
            if isinstance(one, NotChecked):
                say(f"{one.device}: error: {printable(one.error.detail)}")
            elif not json:
                _show(one.report, one.record)

        with store_of(home, begun=True, agents=True) as store:
            names = in_use(store, time.time(), here) if all_ else [name]
            found = check_devices(
                names,
                store,
                place,
                waiting=lambda device, who: say(f"{device}: waiting, it is held by {printable(who)}"),
                tell=tell,
                host=here,
            )
        looked = [one for one in found if isinstance(one, Checked)]
        failed = [one for one in found if isinstance(one, NotChecked)]
        if json:
            errors = [{"device": f.device, "fit": False, "error": f.error.code, "reason": f.error.detail} for f in failed]
            print_json([*(_as_json(one.report, one.record) for one in looked), *errors])
        codes = [exit_codes.exit_code(one.error) for one in failed]
        codes += [exit_codes.DEVICE_TROUBLE for one in looked if not one.report.fit]
        if codes:
            raise typer.Exit(max(codes))


def _here(host: str) -> str | None:
    """What the farm calls this machine; None where the farm is that of a home here.  Raises SpecError."""
    if server():
        return host or socket.gethostname()
    if host:
        raise SpecError(f"--host {host[:80]!r} is for the devices of a served farm, and none is named: {NAMES_ONE}")
    return None


def _as_json(report: HealthReport, record: DeviceRecord) -> dict[str, object]:
    return {
        "device": report.device,
        "fit": report.fit,
        "tools_only": report.tools_only,
        "checked_s": report.checked_s,
        "state": record.state,
        "reason": record.reason,
        "findings": plain(report.findings),
        "references": plain(report.references),
    }


def _show(report: HealthReport, record: DeviceRecord) -> None:
    print_rows(
        [*("severity", "what", "seen"), Column("device", "shared"), Column("why", "prose"), Column("what to do", "prose")],
        [[f.severity, f.name, _seen(f), report.device, f.why, f.what_to_do] for f in report.findings],
    )
    why = f": {report.reason}" if report.reason else ""
    fit = ("fit for native tools only" if report.tools_only else "fit") if report.fit else "not fit"
    say(f"{report.device} is {fit}{printable(why)}; its state is {record.state}")


def _seen(finding: Finding) -> str:
    """With its unit."""
    if finding.value is None:
        return "-"
    shown = f"{finding.value:.4g}" if isinstance(finding.value, float) else str(finding.value)
    return f"{shown} {finding.unit}".rstrip()


def hold(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why; shown to everybody who asks for the device.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a device out of work for maintenance.  A job ends its present order there and leaves it until it is released."""
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with exit_codes.exits(), store_of(home, begun=True) as store:
        _tell(maintenance.hold(store, name, printable(reason.strip())[:500], time.time()), as_json=json)


def release(name: NameArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Give a device in maintenance or quarantine back to work, unchecked."""
    with exit_codes.exits(), store_of(home, begun=True) as store:
        _tell(maintenance.release(store, name, time.time()), as_json=json)


def retire(name: NameArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Take a device out for good; its results stay.  Only registering it again brings it back."""
    with exit_codes.exits(), store_of(home, begun=True) as store:
        _tell(maintenance.retire(store, name, time.time()), as_json=json)


def label(
    name: NameArgument,
    labels: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Labels that it gets.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="The key of a label that it loses; may be repeated.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Change a device's labels.  A job chooses by them whenever it is read; one that is at work keeps the devices it has."""
    with exit_codes.exits(), store_of(home, begun=True) as store:
        has = maintenance.label(store, name, labels_of(labels or []), without=without or [])
        if json:
            print_json({"device": name, "labels": dict(has)})
        else:
            say(f"{name}: {', '.join(f'{key}={value}' for key, value in sorted(has.items())) or 'no labels'}")


def remove(name: NameArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a device.  What was measured there and its history stay; one that a job uses or waits for is refused."""
    with exit_codes.exits(), store_of(home, begun=True) as store:
        store.remove_device(name, time.time())
        if json:
            print_json({"device": name, "removed": True})
        else:
            say(f"{name} is removed; what was measured there stays")


def _tell(record: DeviceRecord, *, as_json: bool) -> None:
    if as_json:
        print_json({"device": record.device, "state": record.state, "reason": record.reason})
    else:
        say(f"{record.device} is {record.state}")
