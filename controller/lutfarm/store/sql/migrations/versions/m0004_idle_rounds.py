"""What each round said of the machine: whether it was shown to be idle, and the fastest readings of the canary."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema.  Of the rounds that are there neither was kept."""
    for table, former, column in (("runs", "canary_p90_ns", "canary_low_ns"), ("canary_rounds", "high_ns", "low_ns")):
        op.drop_column(table, former)
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("canary_rounds", sa.Column("idle", sa.Boolean(), nullable=True))
