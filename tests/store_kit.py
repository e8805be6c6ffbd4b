"""Values for tests of stores."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, select
from tests import schedule_kit

from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.records.queued_job import QueuedJob
from lutfarm.records.token import Token
from lutfarm.store import Store
from lutfarm.store.sql.schema import metadata
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_agents.health.check import HealthReport
from lutfarm_agents.health.findings import Finding
from lutfarm_jobs.measurement import Backend, InputShape, Measurement, Workload
from lutfarm_jobs.round import Lease
from lutfarm_jobs.run import Environment, Failure, Probe, Run, Slice

DESK = Device("desk", "generic-linux-x86_64", "local", LocalAddress(python="/usr/bin/python3"), labels={"room": "a"})
HELLO = replace(schedule_kit.HELLO, system="Linux 6.1", runtimes={"onnxruntime": "1.32.0"})
PLAN = (
    Measurement(Workload("operator", "conv_a"), "desk", Backend("onnxruntime")),
    Measurement(
        Workload("file", "m.tflite@abc", "ab" * 32, (InputShape("x", (1, 3), "float32"),)), "desk", Backend("tflite", threads=2)
    ),
)
FINGERPRINT = {"runtime": "onnxruntime 1.32.0", "governor": ""}
JOB = Job("job-1", "job", "{}", 100.0, zeros=("identity_H1_W1_C1",))
QUEUED = QueuedJob("job-2", "/srv/jobs/2", 50.0, retry_failed=True, until_s=900.0, not_before_s=60.0, waiting="no device")
TOKEN = Token("t1", "ann", "operator", "ab" * 32, 10.0, expires_s=99.0)
SLICE = Slice(
    0, (1000, 1001, 999), 70_000, 70_100, quiet=True, gated=True, involuntary_switches=0, waited_ns=5, wall_ns=3100, cpu_ns=3000
)

OWNER = "elsewhere:0123456789abcdef:17:1"


def run(key: str = PLAN[0].key, status: str = "complete", **changes: Any) -> Run:
    """A run of its own round, on a machine that nobody else uses."""
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "key": key,
        "device": "desk",
        "round_id": uuid.uuid4().hex,
        "round_index": 0,
        "status": status,
        "started_s": 1.0,
        "ended_s": 2.0,
        "fingerprint": FINGERPRINT,
        "slices": (SLICE,),
        "failure": Failure("WorkloadFailed", "signal 11") if status == "failed" else None,
        "load_ns": 5,
        "before": Environment(1.0, load_1min=0.5, busy_s=10.0, own_s=1.0, cores=2, virtual=False),
        "after": Environment(2.0, temperature_c=41.5, busy_s=11.0, own_s=1.9, cores=2, virtual=False),
    }
    return Run(**values | changes)


def probe(key: str = PLAN[0].key, **changes: Any) -> Probe:
    """A probe that found nothing wrong."""
    return Probe(**{"key": key, "device": "desk", "fingerprint": FINGERPRINT, "probed_s": 1.0, "load_ns": 7} | changes)


def fill(store: Store) -> None:
    """One of everything that a store keeps; the same each time, but for the farm's own id."""
    fill_measured(store)
    store.put_token(TOKEN)
    store.open_job(replace(JOB, id=QUEUED.job_id, name="later", created_s=50.0, state="queued", user="ann", priority=2), PLAN[:1])
    store.enqueue(QUEUED)


def fill_measured(store: Store) -> None:
    """A device, and a job that measures on it; nothing waits, and nobody has a token."""
    store.put_device(DESK)
    store.put_hello("desk", HELLO, 5.0)
    store.step_device("desk", DeviceEvent("registered"), 5.0)
    store.step_device("desk", DeviceEvent("held", "new fan"), 6.0)
    store.put_check(HealthReport("desk", 7.0, (Finding("latency", 1.0, "us", "ok", "as before"),), boot_id="m1"))
    store.open_job(JOB, PLAN)
    lease = store.acquire("desk", owner=OWNER, holder="ann", now_s=100.0, ttl_s=60.0, job_id=JOB.id)
    assert isinstance(lease, Lease)
    store.commit_probe(probe(), lease, JOB.id)
    store.commit_probe(probe(PLAN[1].key, failure=Failure("OutOfMemory", "7 GB wanted")), lease, JOB.id)
    store.commit([run(id="1" * 32, round_id="a" * 32), run(id="2" * 32, round_id="b" * 32, status="truncated")], lease, JOB.id)


def rows_of(address: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in one order."""
    with create_engine(address, poolclass=NullPool).connect() as db:
        return {
            table.name: [tuple(row) for row in db.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def sqlite_at(home: Path) -> str:
    """The address of a home's database."""
    return f"sqlite:///{home}/farm.db"
