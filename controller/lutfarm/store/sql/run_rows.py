"""Runs are committed here and read again, with probes and model files, over SQLAlchemy Core."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, literal, select

from lutfarm.store.sql import encoding
from lutfarm.store.sql.canary_rows import keep_round
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.lease_rows import fence
from lutfarm.store.sql.schema import artifacts, fingerprints, job_probes, job_runs, measurement_artifacts, probes, runs
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Probe, Run

BATCH = 500  # keys in one IN (...)


class RunRows(Database):
    """The part of a store that keeps what was measured."""

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        """One transaction: check the lease's token, insert the runs, link them to the job.  Idempotent."""
        with self._write() as db:
            fence(db, lease)
            for run in arrived:
                if db.execute(select(runs.c.id).where(runs.c.id == run.id)).first() is None:
                    db.execute(
                        insert(runs).values(
                            id=run.id,
                            key=run.key,
                            device=run.device,
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
            fence(db, lease)
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

    def runs_after(self, started_s: float, *, device: str | None = None) -> Iterator[Run]:
        wanted = [runs.c.started_s > started_s] + ([] if device is None else [runs.c.device == device])
        with self._read() as db:
            for row in db.execute(_bare_runs().where(*wanted).order_by(runs.c.started_s, runs.c.id)):
                yield encoding.load_run(row.content, encoding.load_mapping(row.fingerprint), ())

    def last_runs(self, device: str, *, most: int) -> Sequence[Run]:
        query = _bare_runs().where(runs.c.device == device).order_by(runs.c.started_s.desc(), runs.c.id).limit(most)
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


def _runs_query(*, samples: bool) -> Select[Any, Any, Any]:
    blob = runs.c.slices if samples else literal(b"").label("slices")
    return select(runs.c.content, fingerprints.c.content.label("fingerprint"), blob).join(
        fingerprints, runs.c.fingerprint == fingerprints.c.hash
    )


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


def _batches(items: Collection[str]) -> Iterator[list[str]]:
    ordered = list(items)
    for at in range(0, len(ordered), BATCH):
        yield ordered[at : at + BATCH]
