"""`lutfarm doctor`: what this installation consists of, and what is wrong with it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import INSTALL
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows
from lutfarm.devices.registration import greet
from lutfarm.home import Home, find_home
from lutfarm.store import open_store
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import FarmError
from lutfarm_jobs.extras import EXTRAS
from lutfarm_jobs.runtimes import RUNTIMES, is_tool, packages_of

PACKAGES = ("lutfarm", "ray", "onnx", "numpy", "sqlalchemy", "pyarrow")
LEAST_FREE_BYTES = 1024**3
BEGIN = "look for a typing error in --home or LUTFARM_HOME, or begin a farm there: lutfarm device register this-machine --local"
# A reset that races another connection's checkpoint can corrupt a WAL database before this one.
SQLITE_SOUND = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` where something can be done."""

    what: str
    state: Literal["ok", "note", "wrong"]
    seen: str
    advice: str = ""


def doctor(home: HomeOption = None, json: JsonOption = False) -> None:
    """Look at this installation: versions, home, store, cores, the runner on this machine.  Exit 1 if something is wrong."""
    with exit_codes.exits():
        place = find_home(home)
        findings = [*_packages(), *_machine(), *_state(place), _runner(place)]
        if json:
            print_json([plain(finding) for finding in findings])
        else:
            columns = ["state", "what", Column("seen", "prose"), Column("what to do", "prose")]
            print_rows(columns, [[f.state, f.what, f.seen, f.advice] for f in findings])
        if any(finding.state == "wrong" for finding in findings):
            raise typer.Exit(1)


def _packages() -> list[Finding]:
    found: list[Finding] = [Finding("python", "ok", platform.python_version())]
    for package in (*PACKAGES, *(packages_of(name)[0] for name in RUNTIMES.own() if not is_tool(name))):
        try:
            found.append(Finding(package, "ok", importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            found.append(_lacking(package))
    return found


def _lacking(package: str) -> Finding:
    if package == "ray":
        return Finding(package, "note", "not installed", f"measured in this process; through Ray after {INSTALL}")
    extra = EXTRAS.get(package.replace("-", "_"))
    return Finding(package, "wrong", "not installed", f"pip install 'lutfarm[{extra}]'" if extra else f"pip install {package}")


def _machine() -> list[Finding]:
    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return [
        Finding("cores", "ok", str(cpus))
        if cpus > 1
        else Finding("cores", "note", "1", "everything shares the measured core: expect contended entries"),
        Finding("load", "ok", f"{load:.2f}")
        if load < 0.5
        else Finding("load", "note", f"{load:.2f}", "something else is running; the gate waits for quiet windows"),
    ]


def _state(home: Home) -> list[Finding]:
    version = sqlite3.sqlite_version_info
    sound = version >= SQLITE_SOUND
    found = [
        Finding(
            "sqlite",
            "ok" if sound else "note",
            sqlite3.sqlite_version,
            ""
            if sound
            else "any number of lutfarm may read and write at once; before 3.51.3 a rare race of two that write can damage the "
            "file: run long jobs one after another, or keep a copy (deploy/README.md)",
        )
    ]
    here = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    if here != home.path:
        found.append(Finding("store", "note", f"{home.path} is not there", BEGIN))
    else:
        try:
            with open_store(home.path, begun=True) as store:
                found.append(Finding("store", "ok", f"{store.place}: {len(store.devices())} devices, {len(store.jobs())} jobs"))
        except FarmError as error:
            return [*found, Finding("store", "wrong", error.detail, "choose another --home, or mend this one")]
    free = shutil.disk_usage(here).free
    enough = free >= LEAST_FREE_BYTES
    found.append(
        Finding(
            "free space",
            "ok" if enough else "wrong",
            f"{free / 1024**3:.1f} GiB",
            "" if enough else "free some, or choose another --home",
        )
    )
    return found


def _runner(home: Home) -> Finding:
    device = Device("doctor", f"generic-linux-{platform.machine()}", "local", LocalAddress())
    try:
        with _kept_in(home) as place:
            hello = greet(device, place)
    except FarmError as error:
        return Finding("runner", "wrong", f"{error.code}: {error.detail}", "this machine can't be measured until that is mended")
    runtimes = ", ".join(f"{package} {version}" for package, version in hello.runtimes.items())
    return Finding("runner", "ok", f"Python {hello.python}, {runtimes}, timer pair {hello.timer_pair_ns} ns")


@contextmanager
def _kept_in(home: Home) -> Generator[Home]:
    """The home; where it is not there one that is gone afterwards, since who looks makes none."""
    if home.path.exists():
        yield home
    else:
        with tempfile.TemporaryDirectory(prefix="lutfarm-doctor-") as folder:
            yield Home(Path(folder))
