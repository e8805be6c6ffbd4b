"""`lutfarm device check|hold|release|retire`."""

from __future__ import annotations

import os
import socket
import time
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.output import HomeOption, JsonOption, plain, print_json, print_rows, printable, say
from lutfarm.home import find_home
from lutfarm.records.device_state import DeviceEvent, DeviceRecord, Kind
from lutfarm.store import Store, open_store, process_identity
from lutfarm.store.interface import registered
from lutfarm_agents.health.check import HealthReport
from lutfarm_jobs.errors import FarmError, SpecError, StoreError

NameArgument = Annotated[str, typer.Argument(help="The device's name.")]


def check(
    name: Annotated[str, typer.Argument(help="The device's name.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All devices that are not retired.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Is a device fit to measure?  Exit 0 if it is, 3 if not.  A device that passes comes back from quarantine.

    With --all every device is looked at, whatever became of the others; the exit code is the worst.
    """
    # Transports and models take a second to import, which `device hold` need not wait for.
    from lutfarm.devices.health_check import check_device

    with exit_codes.exits():
        if all_ == bool(name):
            raise SpecError("name one device, or say --all")
        place = find_home(home)
        holder = f"{process_identity.user()}@{socket.gethostname()}: device check, process {os.getpid()}"
        found: list[tuple[HealthReport, DeviceRecord]] = []
        failed: list[tuple[str, FarmError]] = []
        with open_store(place.path) as store:
            for device in registered(store, _names(store) if all_ else [name]):
                try:
                    one = check_device(
                        device,
                        store,
                        place,
                        owner=process_identity.me(),
                        holder=holder,
                        waiting=lambda unit, who: say(f"{unit}: waiting, it is held by {printable(who)}"),
                    )
                except StoreError:
                    raise
                except FarmError as error:  # of this device alone
                    failed.append((device.name, error))
                    say(f"{device.name}: error: {printable(error.detail)}")
                    continue
                found.append(one)
                if not json:
                    _show(*one)
        if json:
            errors = [{"device": unit, "fit": False, "error": e.code, "reason": e.detail} for unit, e in failed]
            print_json([*(_as_json(*one) for one in found), *errors])
        codes = [exit_codes.exit_code(error) for _, error in failed]
        codes += [exit_codes.DEVICE_TROUBLE for report, _ in found if not report.fit]
        if codes:
            raise typer.Exit(max(codes))


def _names(store: Store) -> list[str]:
    now_s = time.time()
    names = [device.name for device in store.devices()]
    return [name for name in names if store.device_record(name, now_s).state != "retired"]


def _as_json(report: HealthReport, record: DeviceRecord) -> dict[str, object]:
    return {
        "device": report.unit,
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
        ["", "what", "seen", "unit", "why", "what to do"],
        [
            [
                f.verdict,
                f.name,
                "-" if f.value is None else f"{f.value:.4g}" if isinstance(f.value, float) else str(f.value),
                f.unit,
                f.why[:300],
                f.what_to_do,
            ]
            for f in report.findings
        ],
        title=report.unit,
    )
    why = f": {report.reason}" if report.reason else ""
    fit = ("fit for native tools only" if report.tools_only else "fit") if report.fit else "not fit"
    say(f"{report.unit} is {fit}{printable(why)}; its state is {record.state}")


def hold(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why; shown to everybody who asks for the device.")],
    home: HomeOption = None,
) -> None:
    """Take a device out of work for maintenance.  A job ends its present order there and leaves it until it is released."""
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    _tell(name, "held", home, printable(reason.strip())[:500])


def release(name: NameArgument, home: HomeOption = None) -> None:
    """Give a device in maintenance or quarantine back to work, unchecked."""
    _tell(name, "released", home, "")


def retire(name: NameArgument, home: HomeOption = None) -> None:
    """Take a device out for good; its results stay.  Only registering it again brings it back."""
    _tell(name, "retired", home, f"by {process_identity.user()}")


def _tell(name: str, kind: Kind, home: HomeOption, reason: str) -> None:
    with exit_codes.exits(), open_store(find_home(home).path) as store:
        registered(store, [name])
        record = store.step_device(name, DeviceEvent(kind, reason), time.time())
        say(f"{name} is {record.state}")
