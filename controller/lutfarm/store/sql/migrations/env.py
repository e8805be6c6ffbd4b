"""What Alembic runs: on a connection that lutfarm gives it."""

from alembic import context

from lutfarm.store.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
