"""What a served farm keeps: who submitted a job and how urgent it is, what is still to do, who may come in."""

import sqlalchemy as sa
from alembic import op

from lutfarm.store.sql.words import Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    if op.get_bind().dialect.name == "postgresql":
        _sort_by_code_points()
    op.add_column("jobs", sa.Column("user", Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "queued_jobs",
        sa.Column("job_id", Text(100), nullable=False),
        sa.Column("folder", Text(), nullable=False),
        sa.Column("submitted_s", sa.Float(), nullable=False),
        sa.Column("retry_failed", sa.Boolean(), nullable=False),
        sa.Column("until_s", sa.Float(), nullable=True),
        sa.Column("not_before_s", sa.Float(), nullable=False),
        sa.Column("waiting", Text(), nullable=False),
        sa.Column("ending", Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_queued_jobs_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_queued_jobs")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", Text(), nullable=False),
        sa.Column("user", Text(), nullable=False),
        sa.Column("role", Text(), nullable=False),
        sa.Column("hashed", Text(128), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=True),
        sa.Column("revoked_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hashed", name=op.f("uq_tokens_hashed")),
    )


def _sort_by_code_points() -> None:
    """PostgreSQL sorts by the database's language and holds texts to their length; SQLite does neither."""
    inspector = sa.inspect(op.get_bind())
    for table in inspector.get_table_names():
        for column in inspector.get_columns(table):
            if table != "alembic_version" and isinstance(column["type"], sa.String):
                op.alter_column(table, column["name"], type_=Text())
