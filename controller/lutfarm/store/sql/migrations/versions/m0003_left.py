"""What was stored of a device last, so that what its host had left may be stored after its lease."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    op.add_column("leases", sa.Column("committed_token", sa.BigInteger(), nullable=False, server_default="0"))
