"""Failed runs are found without looking at the others: how far a job is is asked often."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    failed = sa.text("status = 'failed'")
    op.create_index("ix_runs_failed", "runs", ["number"], sqlite_where=failed, postgresql_where=failed)
