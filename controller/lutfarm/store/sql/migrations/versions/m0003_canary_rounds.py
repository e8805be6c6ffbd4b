"""What each round said of the canary, in a table of its own: the history of its reference is read before every round."""

import json
from statistics import median

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BASIS = ("cpu_model", "governor", "machine", "models", "runtime", "setting")


def upgrade() -> None:
    """To this schema.  The rounds that are there go into the table; their 90th percentiles were not kept."""
    op.add_column("runs", sa.Column("canary_p90_ns", sa.BigInteger(), nullable=True))
    op.create_table("canary_rounds",
        sa.Column("round_id", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=80), nullable=False),
        sa.Column("backend_key", sa.String(length=100), nullable=False),
        sa.Column("conditions_key", sa.String(length=200), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("level_ns", sa.BigInteger(), nullable=False),
        sa.Column("high_ns", sa.BigInteger(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_canary_rounds"))
    )
    op.create_index("ix_canary_rounds_place", "canary_rounds", ["unit", "backend_key", "conditions_key", "at_s"], unique=False)
    _fill(op.get_bind())


def _fill(db: sa.Connection) -> None:
    bases = {
        row.hash: {name: value for name, value in json.loads(row.content).items() if name in BASIS and value}
        for row in db.execute(sa.text("SELECT hash, content FROM fingerprints"))
    }
    levels: dict[str, list[int]] = {}
    rows: dict[str, dict[str, object]] = {}
    runs = "SELECT round_id, key, unit, started_s, fingerprint, canary_p10_ns FROM runs WHERE canary_p10_ns IS NOT NULL"
    for run in db.execute(sa.text(runs)):
        backend, conditions = run.key.split("/")[-2:]
        levels.setdefault(run.round_id, []).append(run.canary_p10_ns)
        rows[run.round_id] = {
            "round_id": run.round_id, "unit": run.unit, "backend_key": backend, "conditions_key": conditions,
            "at_s": run.started_s, "basis": json.dumps(bases[run.fingerprint], sort_keys=True, separators=(",", ":")),
        }
    if rows:
        db.execute(sa.text(
            "INSERT INTO canary_rounds (round_id, unit, backend_key, conditions_key, at_s, level_ns, basis) "
            "VALUES (:round_id, :unit, :backend_key, :conditions_key, :at_s, :level_ns, :basis)"
        ), [row | {"level_ns": round(median(levels[name]))} for name, row in rows.items()])
