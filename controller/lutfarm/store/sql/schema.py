"""The schema, as SQLAlchemy Core metadata; migrations/ makes it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    literal_column,
)

from lutfarm.store.sql.words import Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

farms = Table("farms", metadata, Column("id", Text(32), primary_key=True))

devices = Table(
    "devices",
    metadata,
    Column("name", Text(80), primary_key=True),
    Column("content", Text(), nullable=False),  # the Device as JSON
    Column("hello", Text()),  # what it last said of itself, as JSON
    Column("seen_s", Float),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text(100), primary_key=True),
    Column("name", Text(80), nullable=False, index=True),
    Column("spec_json", Text(), nullable=False),
    Column("created_s", Float, nullable=False),
    Column("state", Text(20), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("zeros", Text(), nullable=False),  # a JSON list of operator keys
    Column("user", Text(), nullable=False, server_default=""),  # who submitted it to a served farm
    Column("priority", Integer, nullable=False, server_default="0"),
)

queued_jobs = Table(  # columns as QueuedJob has its fields
    "queued_jobs",
    metadata,
    Column("job_id", Text(100), ForeignKey("jobs.id"), primary_key=True),
    Column("folder", Text(), nullable=False),
    Column("submitted_s", Float, nullable=False),
    Column("retry_failed", Boolean, nullable=False),
    Column("until_s", Float),
    Column("not_before_s", Float, nullable=False),
    Column("waiting", Text(), nullable=False),
    Column("ending", Text(), nullable=False),
)

tokens = Table(  # columns as Token has its fields
    "tokens",
    metadata,
    Column("id", Text(), primary_key=True),
    Column("user", Text(), nullable=False),
    Column("role", Text(), nullable=False),
    Column("hashed", Text(128), nullable=False, unique=True),  # a digest in hexadecimal digits
    Column("created_s", Float, nullable=False),
    Column("expires_s", Float),
    Column("revoked_s", Float),
)

measurements = Table(
    "measurements",
    metadata,
    Column("job_id", Text(100), ForeignKey("jobs.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("key", Text(), nullable=False),
    Column("content", Text(), nullable=False),  # the Measurement as JSON
)

leases = Table(
    "leases",
    metadata,
    Column("device", Text(80), primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("owner", Text(), nullable=False),  # empty: released
    Column("holder", Text(), nullable=False),
    Column("expires_s", Float, nullable=False),
    Column("job_id", Text(100), nullable=False),  # empty: it is held for no job
    Column("committed_token", BigInteger, nullable=False, server_default="0"),  # the newest under which anything was committed
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("hash", Text(64), nullable=False, unique=True),  # SHA-256 of the content
    Column("content", Text(), nullable=False),  # a JSON mapping
)

environments = Table(  # all runs of a round have the same two
    "environments",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("hash", Text(64), nullable=False, unique=True),  # SHA-256 of the content
    Column("content", Text(), nullable=False),  # the Environment as JSON
)

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),  # in the order of arrival, so that what refers to it grows at its end
    Column("id", Text(32), nullable=False, unique=True),
    Column("key", Text(), nullable=False),
    Column("device", Text(80), nullable=False),
    Column("round_id", Text(32), nullable=False, index=True),
    Column("status", Text(10), nullable=False),
    Column("started_s", Float, nullable=False),
    Column("fingerprint", Integer, ForeignKey("fingerprints.number"), nullable=False),
    Column("before", Integer, ForeignKey("environments.number")),
    Column("after", Integer, ForeignKey("environments.number")),
    Column("canary_p10_ns", BigInteger),
    Column("canary_low_ns", BigInteger),
    Column("content", Text(), nullable=False),  # what of the Run has no column, as JSON
    Column("slices", LargeBinary, nullable=False),  # see slice_blob.py
    UniqueConstraint("key", "round_id"),
)
IS_FAILED = runs.c.status == literal_column("'failed'")  # no parameter: an index of them alone is used for no other text
Index("ix_runs_failed", runs.c.number, sqlite_where=IS_FAILED, postgresql_where=IS_FAILED)

canary_rounds = Table(
    "canary_rounds",
    metadata,
    Column("round_id", Text(32), primary_key=True),
    Column("device", Text(80), nullable=False),
    Column("backend_key", Text(100), nullable=False),
    Column("conditions_key", Text(200), nullable=False),
    Column("at_s", Float, nullable=False),
    Column("level_ns", BigInteger, nullable=False),
    Column("low_ns", BigInteger),  # null: measured before it was kept
    Column("idle", Boolean),  # null: can't be shown
    Column("basis", Text(), nullable=False),  # a JSON mapping
    Index("ix_canary_rounds_place", "device", "backend_key", "conditions_key", "at_s"),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("job_id", Text(100), ForeignKey("jobs.id"), primary_key=True),
    Column("run", Integer, ForeignKey("runs.number"), primary_key=True, index=True),
    Column("reused", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

probes = Table(
    "probes",
    metadata,
    Column("key", Text(), primary_key=True),
    Column("fingerprint", Integer, ForeignKey("fingerprints.number"), primary_key=True),
    Column("probed_s", Float, nullable=False),
    Column("content", Text(), nullable=False),  # the Probe as JSON
)

job_probes = Table(
    "job_probes",
    metadata,
    Column("job_id", Text(100), ForeignKey("jobs.id"), primary_key=True),
    Column("key", Text(), primary_key=True),
    Column("failed", Boolean, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text(64), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("suffix", Text(10), nullable=False),
)

measurement_artifacts = Table(
    "measurement_artifacts",
    metadata,
    Column("key", Text(), primary_key=True),  # a measurement's
    Column("sha256", Text(64), ForeignKey("artifacts.sha256"), primary_key=True),
)

device_states = Table(
    "device_states",
    metadata,
    Column("device", Text(80), primary_key=True),
    Column("state", Text(20), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("code", Text(40), nullable=False),  # of the error that the reason tells of, or empty
    Column("since_s", Float, nullable=False),
    Column("until_s", Float),
    Column("checked_s", Float),
    Column("fit", Boolean),
    Column("boot_id", Text(100), nullable=False),
    Column("reboots_s", Text(), nullable=False),  # a JSON list of Unix times
)

device_transitions = Table(
    "device_transitions",
    metadata,
    Column("device", Text(80), primary_key=True),
    Column("position", Integer, primary_key=True),  # 0 is the oldest
    Column("at_s", Float, nullable=False),
    Column("event", Text(20), nullable=False),
    Column("before", Text(20), nullable=False),
    Column("after", Text(20), nullable=False),
    Column("reason", Text(), nullable=False),
)

device_checks = Table(
    "device_checks",
    metadata,
    Column("device", Text(80), primary_key=True),
    Column("position", Integer, primary_key=True),  # 0 is the oldest
    Column("checked_s", Float, nullable=False),
    Column("fit", Boolean, nullable=False),
    Column("content", Text(), nullable=False),  # the HealthReport as JSON
)
