"""Brings a database to this version's schema."""

from __future__ import annotations

from importlib import resources

from sqlalchemy import Connection, Engine, inspect, text

from lutfarm_jobs.errors import StoreNewer

NEWEST = "0004"  # the last revision of migrations/


def migrate(engine: Engine, place: str, *, to: str = NEWEST) -> None:
    """In one transaction that keeps other writers out.  Raises StoreNewer for a schema that this version does not know."""
    if revision(engine) == to:
        return
    from alembic import command  # a second of imports that an up-to-date store does not need
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(resources.files("lutfarm.store.sql") / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.begin() as connection:
        current = _revision(connection)  # another process may have been sooner
        if current is not None and current not in known:
            raise StoreNewer(
                f"{place}: written by a newer lutfarm (schema {current[:40]}); upgrade lutfarm, or choose another place with "
                "--home or LUTFARM_STORE"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def revision(engine: Engine) -> str | None:
    """The schema that a database has; None where it has none."""
    with engine.connect().execution_options(reads=True) as db:
        return _revision(db)


def _revision(db: Connection) -> str | None:
    if not inspect(db).has_table("alembic_version"):
        return None
    return db.execute(text("SELECT version_num FROM alembic_version")).scalar()
