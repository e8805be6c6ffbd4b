"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("suffix", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "devices",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hello", sa.Text(), nullable=True),
        sa.Column("seen_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_devices")),
    )
    op.create_table(
        "farms", sa.Column("id", sa.String(length=32), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f("pk_farms"))
    )
    op.create_table(
        "fingerprints",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_fingerprints")),
        sa.UniqueConstraint("hash", name=op.f("uq_fingerprints_hash")),
    )
    op.create_table(
        "environments",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_environments")),
        sa.UniqueConstraint("hash", name=op.f("uq_environments_hash")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("spec_json", sa.Text(), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("zeros", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_name"), "jobs", ["name"], unique=False)
    op.create_table(
        "leases",
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.Column("job_id", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_leases")),
    )
    op.create_table(
        "job_probes",
        sa.Column("job_id", sa.String(length=100), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_probes_job_id")),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_job_probes")),
    )
    op.create_table(
        "measurement_artifacts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["artifacts.sha256"], name=op.f("fk_measurement_artifacts_sha256")),
        sa.PrimaryKeyConstraint("key", "sha256", name=op.f("pk_measurement_artifacts")),
    )
    op.create_table(
        "measurements",
        sa.Column("job_id", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_measurements_job_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_measurements")),
    )
    op.create_table(
        "probes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Integer(), nullable=False),
        sa.Column("probed_s", sa.Float(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint"], ["fingerprints.number"], name=op.f("fk_probes_fingerprint")),
        sa.PrimaryKeyConstraint("key", "fingerprint", name=op.f("pk_probes")),
    )
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("round_id", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("started_s", sa.Float(), nullable=False),
        sa.Column("fingerprint", sa.Integer(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.Column("after", sa.Integer(), nullable=True),
        sa.Column("canary_p10_ns", sa.BigInteger(), nullable=True),
        sa.Column("canary_low_ns", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("slices", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["before"], ["environments.number"], name=op.f("fk_runs_before")),
        sa.ForeignKeyConstraint(["after"], ["environments.number"], name=op.f("fk_runs_after")),
        sa.ForeignKeyConstraint(["fingerprint"], ["fingerprints.number"], name=op.f("fk_runs_fingerprint")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
        sa.UniqueConstraint("key", "round_id", name=op.f("uq_runs_key_round_id")),
    )
    op.create_index(op.f("ix_runs_round_id"), "runs", ["round_id"], unique=False)
    op.create_table(
        "job_runs",
        sa.Column("job_id", sa.String(length=100), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_runs_job_id")),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_job_runs_run")),
        sa.PrimaryKeyConstraint("job_id", "run", name=op.f("pk_job_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_job_runs_run"), "job_runs", ["run"], unique=False)
    op.create_table(
        "device_states",
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("since_s", sa.Float(), nullable=False),
        sa.Column("until_s", sa.Float(), nullable=True),
        sa.Column("checked_s", sa.Float(), nullable=True),
        sa.Column("fit", sa.Boolean(), nullable=True),
        sa.Column("boot_id", sa.String(length=100), nullable=False),
        sa.Column("reboots_s", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_device_states")),
    )
    op.create_table(
        "device_transitions",
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("before", sa.String(length=20), nullable=False),
        sa.Column("after", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", "position", name=op.f("pk_device_transitions")),
    )
    op.create_table(
        "device_checks",
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checked_s", sa.Float(), nullable=False),
        sa.Column("fit", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", "position", name=op.f("pk_device_checks")),
    )
    op.create_table(
        "canary_rounds",
        sa.Column("round_id", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("backend_key", sa.String(length=100), nullable=False),
        sa.Column("conditions_key", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("level_ns", sa.BigInteger(), nullable=False),
        sa.Column("low_ns", sa.BigInteger(), nullable=True),
        sa.Column("idle", sa.Boolean(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_canary_rounds")),
    )
    op.create_index("ix_canary_rounds_place", "canary_rounds", ["device", "backend_key", "conditions_key", "at_s"], unique=False)
