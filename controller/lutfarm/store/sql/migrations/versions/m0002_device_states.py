"""Device states, their history, and checks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema.  A device that was registered before has no row until something happens to it: it is new."""
    op.create_table("device_states",
        sa.Column("unit", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_s", sa.Float(), nullable=False),
        sa.Column("until_s", sa.Float(), nullable=True),
        sa.Column("checked_s", sa.Float(), nullable=True),
        sa.Column("fit", sa.Boolean(), nullable=True),
        sa.Column("boot_id", sa.String(length=100), nullable=False),
        sa.Column("reboots_s", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", name=op.f("pk_device_states"))
    )
    op.create_table("device_transitions",
        sa.Column("unit", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("before", sa.String(length=20), nullable=False),
        sa.Column("after", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "position", name=op.f("pk_device_transitions"))
    )
    op.create_table("device_checks",
        sa.Column("unit", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checked_s", sa.Float(), nullable=False),
        sa.Column("fit", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "position", name=op.f("pk_device_checks"))
    )
