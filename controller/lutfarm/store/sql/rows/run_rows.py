"""Runs are committed here and read again, with probes and model files, over SQLAlchemy Core."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Dialect,
    Executable,
    LargeBinary,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
)

from lutfarm.records.ordered import LateAnswer, Ordered, refusal
from lutfarm.store.sql import encoding
from lutfarm.store.sql.database import Database
from lutfarm.store.sql.rows.canary_rows import keep_round
from lutfarm.store.sql.rows.lease_rows import committed_token, fence, keep_committed
from lutfarm.store.sql.schema import (
    artifacts,
    environments,
    fingerprints,
    job_probes,
    job_runs,
    jobs,
    measurement_artifacts,
    probes,
    runs,
)
from lutfarm.store.sql.slice_blob import decode_slices, encode_slices
from lutfarm.store.sql.upsert import insert as upsert
from lutfarm.store.sql.words import Text
from lutfarm_jobs.round import Artifact, Lease
from lutfarm_jobs.run import Probe, Run

BATCH = 500  # keys in one IN (...)
ROWS_AT_ONCE = 100  # with their samples; all of a job's would not fit into memory
_NAMED = attrgetter(*encoding.RUN_COLUMNS)
_COLUMNS = [column.name for column in runs.columns if column is not runs.c.number]


class RunRows(Database):
    """The part of a store that keeps what was measured."""

    def commit(self, arrived: Sequence[Run], lease: Lease, job_id: str) -> None:
        """One transaction: check the lease's token, insert the runs, link them to the job.  Idempotent."""
        with self._write() as db:
            fence(db, lease)
            _keep(db, arrived, job_id)

    def commit_left(self, left: Sequence[Run], ordered: Ordered, lease: Lease) -> Mapping[str, LateAnswer]:
        """One transaction: what is not there yet and may still be stored, for the job that ordered it."""
        with self._write() as db:
            newest = committed_token(db, lease)
            created_s = db.execute(select(jobs.c.created_s).where(jobs.c.id == ordered.job_id)).scalar()
            refused = refusal(ordered, job_created_s=created_s, token=lease.token, committed_token=newest)
            answers: dict[str, LateAnswer] = {}
            new: list[Run] = []
            known = _known(db, left)
            for run in left:
                names = {run.id, (run.key, run.round_id)}
                answers[run.id] = "seen" if names & known else refused or "committed"
                if answers[run.id] == "committed":
                    new.append(run)
                    known |= names
            if new:
                _keep(db, new, ordered.job_id)
                keep_committed(db, lease.device, ordered.token)
        return answers

    def commit_probe(self, probe: Probe, lease: Lease, job_id: str) -> None:
        """As commit; a newer probe of the same key and fingerprint replaces the older one."""
        with self._write() as db:
            fence(db, lease)
            (found,) = _numbers(db, fingerprints, [encoding.to_json(dict(probe.fingerprint))]).values()
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

    def adopt(self, job_id: str, run_ids: Sequence[str]) -> Sequence[str]:
        """Link runs of other jobs to this one; the ids of those that are not stored any more."""
        with self._write() as db:
            _link(db, job_id, run_ids, reused=True)
            linked: set[str] = set()
            for batch in _batches(run_ids):
                mine = select(runs.c.id).join(job_runs, job_runs.c.run == runs.c.number).where(job_runs.c.job_id == job_id)
                linked.update(db.execute(mine.where(runs.c.id.in_(batch))).scalars())
        return [run_id for run_id in dict.fromkeys(run_ids) if run_id not in linked]

    def reusable(self, keys: Collection[str], *, samples: bool = False) -> Iterator[Run]:
        for batch in _batches(keys):
            query = _runs_query(samples=samples).where(runs.c.key.in_(batch), runs.c.status == "complete")
            for _, run in self._runs(query.order_by(runs.c.started_s.desc(), runs.c.number.desc())):
                yield run

    def probes(self, keys: Collection[str]) -> Mapping[str, Sequence[Probe]]:
        found: defaultdict[str, list[Probe]] = defaultdict(list)
        for batch in _batches(keys):
            query = (
                select(probes.c.content, fingerprints.c.content.label("fingerprint"))
                .join(fingerprints, probes.c.fingerprint == fingerprints.c.number)
                .where(probes.c.key.in_(batch))
                .order_by(probes.c.probed_s.desc(), probes.c.fingerprint.desc())
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
        """The runs linked to a job, by key, time and id."""
        query = _runs_query(samples=samples).join(job_runs, job_runs.c.run == runs.c.number)
        for _, run in self._runs(query.where(job_runs.c.job_id == job_id).order_by(runs.c.key, runs.c.started_s, runs.c.id)):
            yield run

    def arrived_runs(self, job_id: str, *, after: int, most: int, samples: bool = True) -> Iterator[tuple[int, Run]]:
        query = _runs_query(samples=samples).join(job_runs, job_runs.c.run == runs.c.number)
        yield from self._runs(
            query.where(job_runs.c.job_id == job_id, job_runs.c.run > after).order_by(job_runs.c.run).limit(most)
        )

    def runs_after(self, started_s: float, *, device: str | None = None) -> Iterator[Run]:
        wanted = [runs.c.started_s > started_s] + ([] if device is None else [runs.c.device == device])
        for _, run in self._runs(_runs_query(samples=False).where(*wanted).order_by(runs.c.started_s, runs.c.id)):
            yield run

    def last_runs(self, device: str, *, most: int) -> Sequence[Run]:
        query = _runs_query(samples=False).where(runs.c.device == device)
        return [run for _, run in self._runs(query.order_by(runs.c.started_s.desc(), runs.c.id).limit(most))]

    def _runs(self, query: Select[Any]) -> Iterator[tuple[int, Run]]:
        fingerprint, environment = cache(encoding.load_mapping), cache(encoding.load_environment)  # runs of a round share them
        with self._read() as db, db.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
            for row in rows:
                yield (
                    row.number,
                    encoding.load_run(
                        row.content,
                        **{name: getattr(row, name) for name in encoding.RUN_COLUMNS},
                        fingerprint=fingerprint(row.fingerprint),
                        before=environment(row.before),
                        after=environment(row.after),
                        slices=decode_slices(row.slices) if row.slices else (),
                    ),
                )

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
    before, after = environments.alias("earlier"), environments.alias("later")
    found: Select[Any] = select(
        runs.c.number,
        runs.c.content,
        *(runs.c[name] for name in encoding.RUN_COLUMNS),
        fingerprints.c.content.label("fingerprint"),
        before.c.content.label("before"),
        after.c.content.label("after"),
        runs.c.slices if samples else literal(b"", LargeBinary).label("slices"),
    )
    return (
        found.join_from(runs, fingerprints, runs.c.fingerprint == fingerprints.c.number)
        .outerjoin(before, runs.c.before == before.c.number)
        .outerjoin(after, runs.c.after == after.c.number)
    )


def _keep(db: Connection, arrived: Sequence[Run], job_id: str) -> None:
    """Insert runs and what their rounds said of the canary, and link them to the job."""
    if arrived:
        _insert(db, _rows(db, arrived))
    for run in {run.round_id: run for run in arrived}.values():
        keep_round(db, run)
    _link(db, job_id, [run.id for run in arrived], reused=False)


def _known(db: Connection, left: Sequence[Run]) -> set[str | tuple[str, str]]:
    """What is stored of these and of their rounds: the ids, and the (key, round id)s."""
    found: set[str | tuple[str, str]] = set()
    for column, values in ((runs.c.id, {run.id for run in left}), (runs.c.round_id, {run.round_id for run in left})):
        for batch in _batches(values):
            for row in db.execute(select(runs.c.id, runs.c.key, runs.c.round_id).where(column.in_(batch))):
                found |= {row.id, (row.key, row.round_id)}
    return found


def _insert(db: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Those that are not there yet."""
    if db.dialect.positional:
        db.exec_driver_sql(_insertion(db.dialect), rows)
    else:
        named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        db.execute(upsert(db.dialect, runs).on_conflict_do_nothing(index_elements=["id"]), named)


@lru_cache
def _insertion(dialect: Dialect) -> str:
    """Compiled once: parameters by position spare Core's own treatment of each row, a third of what inserting takes."""
    missing = upsert(dialect, runs).on_conflict_do_nothing(index_elements=["id"])
    return str(missing.compile(dialect=dialect, column_keys=_COLUMNS))


def _rows(db: Connection, arrived: Sequence[Run]) -> list[tuple[Any, ...]]:
    """The rows of runs, in the order of _COLUMNS; what they share is stored."""
    environment = cache(encoding.to_json)
    around = [tuple(None if at is None else environment(at) for at in (run.before, run.after)) for run in arrived]
    moments = {None: None, **_numbers(db, environments, {text for texts in around for text in texts if text is not None})}
    prints: list[int] = []
    for fingerprint, sharing in groupby(run.fingerprint for run in arrived):
        (number,) = _numbers(db, fingerprints, [encoding.to_json(dict(fingerprint))]).values()
        prints += [number for _ in sharing]
    return [
        _row(run, number, moments[before], moments[after])
        for run, number, (before, after) in zip(arrived, prints, around, strict=True)
    ]


def _row(run: Run, fingerprint: int, before: int | None, after: int | None) -> tuple[Any, ...]:
    p10_ns, low_ns = encoding.canary_ns(run.slices, (0.1, 0.0)) or (None, None)
    content, slices = encoding.dump_run(run), encode_slices(run.slices)
    return (*_NAMED(run), fingerprint, before, after, p10_ns, low_ns, content, slices)


# What each commit says is put together once: that takes longer than to run it.
_SHARED = environments, fingerprints
_KNOWN = {
    table: select(table.c.hash, table.c.number).where(table.c.hash.in_(bindparam("digests", expanding=True))) for table in _SHARED
}
_KEPT = {table: insert(table).returning(table.c.number) for table in _SHARED}


@lru_cache
def _linked(dialect: Dialect) -> Executable:
    job, reused = bindparam("job", type_=Text()), bindparam("reuse", type_=Boolean())
    found = select(job, runs.c.number, reused).where(runs.c.id.in_(bindparam("ids", expanding=True)))
    return upsert(dialect, job_runs).from_select(["job_id", "run", "reused"], found).on_conflict_do_nothing()


def _numbers(db: Connection, table: Table, contents: Collection[str]) -> dict[str, int]:
    """By content, the number that it is stored under, once however often it comes."""
    hashes = {hashlib.sha256(text.encode()).hexdigest(): text for text in contents}
    found: dict[str, int] = {}
    for batch in _batches(hashes):
        known = db.execute(_KNOWN[table], {"digests": batch}).all()
        found |= {hashes[row.hash]: row.number for row in known}
    for digest, text in hashes.items():
        if text not in found:
            found[text] = db.execute(_KEPT[table], {"hash": digest, "content": text}).scalar_one()
    return found


def _link(db: Connection, job_id: str, run_ids: Sequence[str], *, reused: bool) -> None:
    for batch in _batches(run_ids):
        db.execute(_linked(db.dialect), {"job": job_id, "reuse": reused, "ids": batch})


def _batches(items: Collection[str]) -> Iterator[list[str]]:
    ordered = list(items)
    for at in range(0, len(ordered), BATCH):
        yield ordered[at : at + BATCH]
