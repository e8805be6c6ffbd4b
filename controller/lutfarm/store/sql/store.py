"""SqlStore: the Store protocol over SQLAlchemy Core."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, delete, func, insert, literal, select, update

from lutfarm.records.job import Job, JobCounts, JobState
from lutfarm.store.sql import encoding
from lutfarm.store.sql.canary_rows import CanaryRows, keep_round
from lutfarm.store.sql.device_rows import DeviceRows
from lutfarm.store.sql.schema import (
    artifacts,
    devices,
    farms,
    fingerprints,
    job_probes,
    job_runs,
    jobs,
    leases,
    measurement_artifacts,
    measurements,
    probes,
    runs,
)
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.process_identity import has_ended
from lutfarm_jobs.errors import LeaseLost
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Probe, Run

BATCH = 500  # keys in one IN (...)


class SqlStore(DeviceRows, CanaryRows):
    """A store in one database: see interface.py for what each method does.  A context manager; leaving it closes the database."""

    def __init__(self, engine: Engine, place: str, *, copies: TemporaryDirectory[str] | None = None) -> None:
        super().__init__(engine, place, copies)
        with self._read() as db:
            known = db.execute(select(farms.c.id)).scalar()
        self._farm_id = known or self._named()

    def _named(self) -> str:
        """Another process may have given the name meanwhile."""
        with self._write() as db:
            known = db.execute(select(farms.c.id)).scalar()
            if known is None:
                known = uuid.uuid4().hex
                db.execute(insert(farms).values(id=known))
        return known

    @property
    def farm_id(self) -> str:
        """32 hex digits made with the store."""
        return self._farm_id

    # Devices

    def put_device(self, device: Device) -> None:
        with self._write() as db:
            content = encoding.dump_device(device)
            if not db.execute(update(devices).where(devices.c.name == device.name).values(content=content)).rowcount:
                db.execute(insert(devices).values(name=device.name, content=content))

    def device(self, name: str) -> Device | None:
        with self._read() as db:
            content = db.execute(select(devices.c.content).where(devices.c.name == name)).scalar()
        return None if content is None else encoding.load_device(content)

    def devices(self) -> Sequence[Device]:
        with self._read() as db:
            found = db.execute(select(devices.c.content).order_by(devices.c.name)).scalars().all()
        return [encoding.load_device(content) for content in found]

    def put_hello(self, unit: str, hello: Hello, seen_s: float) -> None:
        with self._write() as db:
            db.execute(update(devices).where(devices.c.name == unit).values(hello=encoding.dump(hello), seen_s=seen_s))

    def hello(self, unit: str) -> tuple[Hello, float] | None:
        with self._read() as db:
            row = db.execute(select(devices.c.hello, devices.c.seen_s).where(devices.c.name == unit)).first()
        return None if row is None or row.hello is None else (encoding.load_hello(row.hello), row.seen_s)

    # Jobs

    def open_job(self, job: Job, plan: Sequence[Measurement]) -> Job:
        """Insert with its plan; a job that exists is returned as it stands."""
        with self._write() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job.id)).first()
            if row is not None:
                return _job(row)
            db.execute(
                insert(jobs).values(
                    id=job.id,
                    name=job.name,
                    spec_json=job.spec_json,
                    created_s=job.created_s,
                    state=job.state,
                    reason=job.reason,
                    zeros=encoding.to_json(list(job.zeros)),
                )
            )
            _plan(db, job.id, plan, first=0)
        return job

    def extend_plan(self, job_id: str, plan: Sequence[Measurement]) -> None:
        """Append what the job's plan does not have yet."""
        with self._write() as db:
            known = set(db.execute(select(measurements.c.key).where(measurements.c.job_id == job_id)).scalars())
            _plan(db, job_id, [m for m in plan if m.key not in known], first=len(known))

    def close_job(self, job_id: str, state: JobState, reason: str = "") -> None:
        with self._write() as db:
            db.execute(update(jobs).where(jobs.c.id == job_id).values(state=state, reason=reason))

    def jobs(self) -> Sequence[tuple[Job, JobCounts]]:
        with self._read() as db:
            rows = db.execute(select(jobs).order_by(jobs.c.created_s.desc())).all()
            return [(_job(row), _counts(db, row.id)) for row in rows]

    def job(self, job_id: str) -> tuple[Job, JobCounts] | None:
        """One, by its id, its name (the newest), or the start of its id where that is unique."""
        with self._read() as db:
            by_time = select(jobs).order_by(jobs.c.created_s.desc())
            row = (
                db.execute(by_time.where(jobs.c.id == job_id)).first() or db.execute(by_time.where(jobs.c.name == job_id)).first()
            )
            if row is None and job_id:
                found = db.execute(by_time.where(jobs.c.id.startswith(job_id, autoescape=True)).limit(2)).all()
                row = found[0] if len(found) == 1 else None
            return None if row is None else (_job(row), _counts(db, row.id))

    def measurements(self, job_id: str) -> Sequence[Measurement]:
        with self._read() as db:
            found = (
                db.execute(
                    select(measurements.c.content).where(measurements.c.job_id == job_id).order_by(measurements.c.position)
                )
                .scalars()
                .all()
            )
        return [encoding.load_measurement(content) for content in found]

    # Leases

    def acquire(self, unit: str, *, owner: str, holder: str, now_s: float, ttl_s: float, job_id: str = "") -> Lease | str:
        """A lease with the next token, or the readable holder of the one that is in force."""
        with self._write() as db:
            row = db.execute(select(leases).where(leases.c.unit == unit)).first()
            if row is not None and row.owner not in ("", owner):
                in_force = row.expires_s > now_s and not has_ended(row.owner)
                if in_force:
                    return str(row.holder)
            token = 1 if row is None else row.token + 1
            values = {"token": token, "owner": owner, "holder": holder, "expires_s": now_s + ttl_s, "job_id": job_id}
            if row is None:
                db.execute(insert(leases).values(unit=unit, **values))
            else:
                db.execute(update(leases).where(leases.c.unit == unit).values(**values))
        return Lease(unit, token, owner, now_s + ttl_s)

    def renew(self, lease: Lease, *, now_s: float, ttl_s: float) -> Lease:
        with self._write() as db:
            changed = db.execute(update(leases).where(*_held(lease)).values(expires_s=now_s + ttl_s))
            if not changed.rowcount:
                raise LeaseLost(f"{lease.unit}: the lease passed to another run; this one stops, nothing is lost")
        return replace(lease, expires_s=now_s + ttl_s)

    def release(self, lease: Lease) -> None:
        with self._write() as db:
            db.execute(update(leases).where(*_held(lease)).values(owner="", holder="", job_id=""))

    # Runs and probes

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        """One transaction: check the lease's token, insert the runs, link them to the job.  Idempotent."""
        with self._write() as db:
            self._fence(db, lease)
            for run in arrived:
                if db.execute(select(runs.c.id).where(runs.c.id == run.id)).first() is None:
                    db.execute(
                        insert(runs).values(
                            id=run.id,
                            key=run.key,
                            unit=run.unit,
                            round_id=run.round_id,
                            status=run.status,
                            started_s=run.started_s,
                            fingerprint=_fingerprint(db, run.fingerprint),
                            canary_p10_ns=encoding.canary_ns(run.slices, 0.1),
                            canary_low_ns=encoding.canary_ns(run.slices, 0.0),
                            content=encoding.dump(run, without=("slices", "fingerprint")),
                            slices=encoding.encode_slices(run.slices),
                        )
                    )
            for run in {run.round_id: run for run in arrived}.values():
                keep_round(db, run)
            _link(db, job_id, [run.id for run in arrived], reused=False)

    def commit_probe(self, probe: Probe, lease: Lease, job_id: str) -> None:
        """As commit; a newer probe of the same key and fingerprint replaces the older one."""
        with self._write() as db:
            self._fence(db, lease)
            found = _fingerprint(db, probe.fingerprint)
            db.execute(delete(probes).where(probes.c.key == probe.key, probes.c.fingerprint == found))
            db.execute(
                insert(probes).values(
                    key=probe.key,
                    fingerprint=found,
                    probed_s=probe.probed_s,
                    content=encoding.dump(probe, without=("fingerprint",)),
                )
            )
            db.execute(delete(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.key == probe.key))
            db.execute(insert(job_probes).values(job_id=job_id, key=probe.key, failed=probe.failure is not None))

    def _fence(self, db: Connection, lease: Lease) -> None:
        # An update, not a look: it takes the row's lock in any database.
        if not db.execute(update(leases).where(*_held(lease)).values(token=lease.token)).rowcount:
            raise LeaseLost(f"{lease.unit}: the lease passed to another run; its late result was refused")

    def adopt(self, job_id: str, run_ids: Sequence[str]) -> None:
        """Link runs of other jobs to this one."""
        with self._write() as db:
            _link(db, job_id, run_ids, reused=True)

    def reusable(self, keys: Collection[str], *, samples: bool = False) -> Iterator[Run]:
        for batch in _batches(keys):
            query = _runs_query(samples=samples).where(runs.c.key.in_(batch), runs.c.status == "complete")
            yield from self._runs(query.order_by(runs.c.started_s.desc()))

    def probes(self, keys: Collection[str]) -> Mapping[str, Sequence[Probe]]:
        found: defaultdict[str, list[Probe]] = defaultdict(list)
        for batch in _batches(keys):
            query = (
                select(probes.c.content, fingerprints.c.content.label("fingerprint"))
                .join(fingerprints, probes.c.fingerprint == fingerprints.c.hash)
                .where(probes.c.key.in_(batch))
                .order_by(probes.c.probed_s.desc())
            )
            with self._read() as db:
                rows = db.execute(query).all()
            for row in rows:
                probe = encoding.load_probe(row.content, encoding.load_mapping(row.fingerprint))
                found[probe.key].append(probe)
        return found

    def put_artifacts(self, used: Mapping[str, Artifact]) -> None:
        with self._write() as db:
            for key, artifact in used.items():
                there = select(measurement_artifacts).where(
                    measurement_artifacts.c.key == key, measurement_artifacts.c.sha256 == artifact.sha256
                )
                if db.execute(there).first() is not None:
                    continue
                if db.execute(select(artifacts).where(artifacts.c.sha256 == artifact.sha256)).first() is None:
                    db.execute(
                        insert(artifacts).values(sha256=artifact.sha256, size_bytes=artifact.size_bytes, suffix=artifact.suffix)
                    )
                db.execute(insert(measurement_artifacts).values(key=key, sha256=artifact.sha256))

    def artifacts(self, keys: Collection[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for batch in _batches(keys):
            with self._read() as db:
                query = select(measurement_artifacts).where(measurement_artifacts.c.key.in_(batch))
                found |= {row.key: row.sha256 for row in db.execute(query)}
        return found

    def forget_failures(self, job_id: str) -> int:
        """Unlink failed runs and failed probes from the job; they stay stored."""
        with self._write() as db:
            failed = select(runs.c.id).where(runs.c.status == "failed")
            unlinked = db.execute(delete(job_runs).where(job_runs.c.job_id == job_id, job_runs.c.run_id.in_(failed))).rowcount
            unlinked += db.execute(delete(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.failed)).rowcount
        return unlinked

    def runs(self, job_id: str, *, samples: bool = True) -> Iterator[Run]:
        """The runs linked to a job, by key and time."""
        query = _runs_query(samples=samples).join(job_runs, job_runs.c.run_id == runs.c.id)
        yield from self._runs(query.where(job_runs.c.job_id == job_id).order_by(runs.c.key, runs.c.started_s))

    def _runs(self, query: Select[Any, Any, Any]) -> Iterator[Run]:
        with self._read() as db:
            for row in db.execute(query):
                slices = encoding.decode_slices(row.slices) if row.slices else ()
                yield encoding.load_run(row.content, encoding.load_mapping(row.fingerprint), slices)

    def runs_after(self, started_s: float, *, unit: str | None = None) -> Iterator[Run]:
        wanted = [runs.c.started_s > started_s] + ([] if unit is None else [runs.c.unit == unit])
        with self._read() as db:
            for row in db.execute(_bare_runs().where(*wanted).order_by(runs.c.started_s, runs.c.id)):
                yield encoding.load_run(row.content, encoding.load_mapping(row.fingerprint), ())

    def last_runs(self, unit: str, *, most: int) -> Sequence[Run]:
        query = _bare_runs().where(runs.c.unit == unit).order_by(runs.c.started_s.desc(), runs.c.id).limit(most)
        with self._read() as db:
            return [encoding.load_run(row.content, encoding.load_mapping(row.fingerprint), ()) for row in db.execute(query)]

    def round_counts(self, job_id: str) -> Mapping[str, Mapping[str, int]]:
        query = (
            select(runs.c.key, runs.c.status, func.count())
            .join(job_runs, job_runs.c.run_id == runs.c.id)
            .where(job_runs.c.job_id == job_id)
            .group_by(runs.c.key, runs.c.status)
        )
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        with self._read() as db:
            for key, status, count in db.execute(query):
                found[key][status] = count
            failed = select(job_probes.c.key).where(job_probes.c.job_id == job_id, job_probes.c.failed)
            for key in db.execute(failed).scalars():
                found[key]["failed"] = found[key].get("failed", 0) + 1
        return found


def _bare_runs() -> Select[Any, Any]:
    return select(runs.c.content, fingerprints.c.content.label("fingerprint")).join(
        fingerprints, fingerprints.c.hash == runs.c.fingerprint
    )


def _plan(db: Connection, job_id: str, plan: Sequence[Measurement], *, first: int) -> None:
    if plan:
        rows = [{"job_id": job_id, "key": m.key, "content": encoding.dump(m)} for m in plan]
        db.execute(insert(measurements), [row | {"position": at} for at, row in enumerate(rows, start=first)])


def _job(row: Row[Any]) -> Job:
    zeros = encoding.load_list(row.zeros)
    return Job(row.id, row.name, row.spec_json, row.created_s, row.state, row.reason, zeros)


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return leases.c.unit == lease.unit, leases.c.token == lease.token, leases.c.owner == lease.owner


def _fingerprint(db: Connection, content: Mapping[str, str]) -> str:
    text = encoding.to_json(dict(content))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if db.execute(select(fingerprints.c.hash).where(fingerprints.c.hash == digest)).first() is None:
        db.execute(insert(fingerprints).values(hash=digest, content=text))
    return digest


def _link(db: Connection, job_id: str, run_ids: Sequence[str], *, reused: bool) -> None:
    for batch in _batches(run_ids):
        there = select(job_runs.c.run_id).where(job_runs.c.job_id == job_id, job_runs.c.run_id.in_(batch))
        known = set(db.execute(there).scalars())
        rows = [{"job_id": job_id, "run_id": run_id, "reused": reused} for run_id in batch if run_id not in known]
        if rows:
            db.execute(insert(job_runs), rows)


def _runs_query(*, samples: bool) -> Select[Any, Any, Any]:
    blob = runs.c.slices if samples else literal(b"").label("slices")
    return select(runs.c.content, fingerprints.c.content.label("fingerprint"), blob).join(
        fingerprints, runs.c.fingerprint == fingerprints.c.hash
    )


def _counts(db: Connection, job_id: str) -> JobCounts:
    linked = select(func.count()).select_from(job_runs).where(job_runs.c.job_id == job_id)
    failed_runs = (
        select(func.count(func.distinct(runs.c.key)))
        .join(job_runs, job_runs.c.run_id == runs.c.id)
        .where(job_runs.c.job_id == job_id, runs.c.status == "failed")
    )
    failed_probes = select(func.count()).select_from(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.failed)
    planned = select(func.count()).select_from(measurements).where(measurements.c.job_id == job_id)
    return JobCounts(
        measurements=db.execute(planned).scalar_one(),
        runs=db.execute(linked).scalar_one(),
        reused_runs=db.execute(linked.where(job_runs.c.reused)).scalar_one(),
        failures=db.execute(failed_runs).scalar_one() + db.execute(failed_probes).scalar_one(),
    )


def _batches(items: Collection[str]) -> Iterator[list[str]]:
    ordered = list(items)
    for at in range(0, len(ordered), BATCH):
        yield ordered[at : at + BATCH]
