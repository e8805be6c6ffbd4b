"""Runs are committed here and read again, with probes and model files, over SQLAlchemy Core."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, literal, select
from sqlalchemy.dialects.sqlite import insert

from lutfarm.store.sql import encoding
from lutfarm.store.sql.canary_rows import keep_round
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.lease_rows import fence
from lutfarm.store.sql.schema import artifacts, fingerprints, job_probes, job_runs, measurement_artifacts, probes, runs
from lutfarm.store.sql.slice_blob import decode_slices, encode_slices
from lutfarm_jobs.errors import StoreError
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Probe, Run

BATCH = 500  # keys in one IN (...)


class RunRows(Database):
    """The part of a store that keeps what was measured."""

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        """One transaction: check the lease's token, insert the runs, link them to the job.  Idempotent."""
        with self._write() as db:
            fence(db, lease)
            hashes = _fingerprints(db, [run.fingerprint for run in arrived])
            if arrived:
                rows = [_row(run, hashes[_identity(run.fingerprint)]) for run in arrived]
                db.execute(insert(runs).on_conflict_do_nothing(index_elements=["id"]), rows)
            for run in {run.round_id: run for run in arrived}.values():
                keep_round(db, run)
            _link(db, job_id, [run.id for run in arrived], reused=False)

    def commit_probe(self, probe: Probe, lease: Lease, job_id: str) -> None:
        """As commit; a newer probe of the same key and fingerprint replaces the older one."""
        with self._write() as db:
            fence(db, lease)
            (found,) = _fingerprints(db, [probe.fingerprint]).values()
            db.execute(delete(probes).where(probes.c.key == probe.key, probes.c.fingerprint == found))
            db.execute(
                insert(probes).values(
                    key=probe.key,
                    fingerprint=found,
                    probed_s=probe.probed_s,
                    content=encoding.dump(probe, without=frozenset({"fingerprint"})),
                )
            )
            db.execute(delete(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.key == probe.key))
            db.execute(insert(job_probes).values(job_id=job_id, key=probe.key, failed=probe.failure is not None))

    def adopt(self, job_id: str, run_ids: Sequence[str]) -> None:
        """Link runs of other jobs to this one."""
        with self._write() as db:
            there = 0
            for batch in _batches(set(run_ids)):
                there += db.execute(select(func.count()).where(runs.c.id.in_(batch))).scalar_one()
            if missing := len(set(run_ids)) - there:
                raise StoreError(f"{missing} of {len(set(run_ids))} runs to reuse are not stored any more; run the job again")
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
            failed = select(runs.c.number).where(runs.c.status == "failed")
            unlinked = db.execute(delete(job_runs).where(job_runs.c.job_id == job_id, job_runs.c.run.in_(failed))).rowcount
            unlinked += db.execute(delete(job_probes).where(job_probes.c.job_id == job_id, job_probes.c.failed)).rowcount
        return unlinked

    def runs(self, job_id: str, *, samples: bool = True) -> Iterator[Run]:
        """The runs linked to a job, by key and time."""
        query = _runs_query(samples=samples).join(job_runs, job_runs.c.run == runs.c.number)
        yield from self._runs(query.where(job_runs.c.job_id == job_id).order_by(runs.c.key, runs.c.started_s))

    def runs_after(self, started_s: float, *, device: str | None = None) -> Iterator[Run]:
        wanted = [runs.c.started_s > started_s] + ([] if device is None else [runs.c.device == device])
        yield from self._runs(_runs_query(samples=False).where(*wanted).order_by(runs.c.started_s, runs.c.id))

    def last_runs(self, device: str, *, most: int) -> Sequence[Run]:
        query = _runs_query(samples=False).where(runs.c.device == device)
        return list(self._runs(query.order_by(runs.c.started_s.desc(), runs.c.id).limit(most)))

    def _runs(self, query: Select[Any]) -> Iterator[Run]:
        fingerprints_seen: dict[str, Mapping[str, str]] = {}
        with self._read() as db:
            for row in db.execute(query):
                text = row.fingerprint
                if text not in fingerprints_seen:
                    fingerprints_seen[text] = encoding.load_mapping(text)
                slices = decode_slices(row.slices) if row.slices else ()
                told = {name: getattr(row, name) for name in encoding.RUN_COLUMNS}
                yield encoding.load_run(row.content, fingerprint=fingerprints_seen[text], slices=slices, **told)

    def round_counts(self, job_id: str) -> Mapping[str, Mapping[str, int]]:
        query = (
            select(runs.c.key, runs.c.status, func.count())
            .join(job_runs, job_runs.c.run == runs.c.number)
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


def _runs_query(*, samples: bool) -> Select[Any]:
    blob = runs.c.slices if samples else literal(b"").label("slices")
    named = [runs.c[name] for name in encoding.RUN_COLUMNS]
    found: Select[Any] = select(blob, runs.c.content, fingerprints.c.content.label("fingerprint"), *named)
    return found.join_from(runs, fingerprints, runs.c.fingerprint == fingerprints.c.hash)


def _row(run: Run, fingerprint: str) -> dict[str, Any]:
    p10_ns, low_ns = encoding.canary_ns(run.slices, (0.1, 0.0)) or (None, None)
    return {
        **{name: getattr(run, name) for name in encoding.RUN_COLUMNS},
        "fingerprint": fingerprint,
        "canary_p10_ns": p10_ns,
        "canary_low_ns": low_ns,
        "content": encoding.dump_run(run),
        "slices": encode_slices(run.slices),
    }


def _identity(fingerprint: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(fingerprint.items())


def _fingerprints(db: Connection, found: Iterable[Mapping[str, str]]) -> dict[frozenset[tuple[str, str]], str]:
    """The hash by which each is stored; those that are not, are stored.  Runs of a round share few."""
    texts = {identity: encoding.to_json(dict(identity)) for identity in map(_identity, found)}
    hashes = {identity: hashlib.sha256(text.encode()).hexdigest() for identity, text in texts.items()}
    if texts:
        rows = [{"hash": hashes[identity], "content": text} for identity, text in texts.items()]
        db.execute(insert(fingerprints).on_conflict_do_nothing(), rows)
    return hashes


def _link(db: Connection, job_id: str, run_ids: Sequence[str], *, reused: bool) -> None:
    for batch in _batches(run_ids):
        linked = select(literal(job_id), runs.c.number, literal(reused)).where(runs.c.id.in_(batch))
        db.execute(insert(job_runs).from_select(["job_id", "run", "reused"], linked).on_conflict_do_nothing())


def _batches(items: Collection[str]) -> Iterator[list[str]]:
    ordered = list(items)
    for at in range(0, len(ordered), BATCH):
        yield ordered[at : at + BATCH]
