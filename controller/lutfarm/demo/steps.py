"""What a demonstration does, step by step; who calls them shows how it goes."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

from lutfarm.demo.time_budget import CALIBRATE, FEWEST, PASSES, Clock
from lutfarm.devices.registration import greet, keep
from lutfarm.home import Home
from lutfarm.lut import LatencyTable, save
from lutfarm.results.job_table import table_of
from lutfarm.results.validate_job import TableToValidate, validation_spec
from lutfarm.results.validated_table import validated_table
from lutfarm.scheduling.unit import Unit
from lutfarm.store.interface import DeviceStore, JobStore, Store, job_called
from lutfarm.validation import studies_of
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device, Hello
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spec import JobSpec, parse_job
from lutfarm_jobs.yaml_reader import parse_yaml

DEVICE = "this-machine"
SPACE = "fbnet-224"


def demo_spec() -> JobSpec:
    """The demonstration's job: a space's operators on this machine."""
    text = resources.files("lutfarm.demo").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_job(parse_yaml(text, source="demo.yaml"), source="demo.yaml")


def register_this_machine(store: DeviceStore, home: Home) -> Hello:
    """As DEVICE, with what it says of itself.  Raises LinkError, DeviceError."""
    device = Device(DEVICE, f"generic-linux-{platform.machine()}", "local", LocalAddress())
    hello = greet(device, home)
    keep(store, device, hello)
    return hello


@dataclass(frozen=True, slots=True)
class NetworkDraw:
    """Networks for which there is time: as many to validate with, as many to calibrate on; the job that measures them."""

    networks: int
    calibrate: int
    spec: JobSpec | None = None
    why_not: str = ""  # where there is no such job

    @property
    def fewer(self) -> bool:
        """Than a demonstration measures that has time enough."""
        return self.calibrate < CALIBRATE


def draw_networks(store: Store, job_id: str, clock: Clock) -> NetworkDraw:
    """Networks that the job's table has never seen: as many as there is time for, or the same as before where some are stored."""
    networks, calibrate = _time_for(store, job_id, clock)
    if networks < FEWEST:
        return NetworkDraw(networks, calibrate, why_not=clock.no_time(time.time()))
    asked = TableToValidate(job_called(store, job_id)[0], table_of(store, job_id), spaces.load(SPACE))
    try:
        spec = validation_spec(store, asked, networks=networks, calibrate=calibrate)
    except SpecError as error:  # too little time for every operator that a network needs
        return NetworkDraw(networks, calibrate, why_not=f"{error.detail}; give --minutes more")
    return NetworkDraw(
        networks, calibrate, spec.model_copy(update={"sampling": spec.sampling.model_copy(update={"passes": PASSES})})
    )


def paced(clock: Clock, units: Iterable[Unit]) -> Clock:
    """The clock once operators were measured: by how long their rounds took, or by what waits for a core where none was."""
    paces = [unit.pace for unit in units if unit.rounds_due_s]
    load = replace(clock.load, queue=os.getloadavg()[0])
    return replace(clock, load=load, pace=max(paces, default=None))


def _time_for(store: JobStore, job_id: str, clock: Clock) -> tuple[int, int]:
    known = studies_of(store, job_id)
    if known:
        return known[-1].study.networks, known[-1].study.calibrate
    return clock.networks(time.time())


def write_results(store: Store, job_id: str, out: Path) -> LatencyTable:
    """Write the table in three formats, its validation and the report into the folder `out`."""
    from lutfarm.report import render_report  # matplotlib, which `demo --help` need not wait for

    table = validated_table(store, job_id)
    for suffix in ("json", "csv", "parquet"):
        save(table, out / f"lut.{suffix}")
    validations = [asdict(one) for one in table.manifest.validations]
    (out / "validation.json").write_text(json.dumps(validations, indent=2) + "\n")
    render_report(table, out=out / "report.html", title=f"{SPACE} on {DEVICE}")
    return table
