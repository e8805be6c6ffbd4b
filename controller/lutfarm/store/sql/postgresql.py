"""Opens a store in PostgreSQL: says where it is without its password, and sets its connections up as SQLite's are.

Who writes takes one lock of the whole database from its first look on, as SQLite has it: there is one writer at a time, and
what it read is true still when it writes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from lutfarm.store.sql.errors import mapped
from lutfarm.store.sql.migrating import migrate, revision
from lutfarm.store.sql.store import SqlStore
from lutfarm_jobs.errors import SpecError, StoreError

DRIVER = "postgresql+psycopg"
SHAPE = f"{DRIVER}://USER@HOST/DATABASE"
CONNECT_S = 10
WAIT_S = 30  # for another writer
HUNG_S = 60  # a writer that says nothing for so long is ended, so that others may write
WRITER = 0x6C757466  # of the advisory lock: "lutf"

# A host that is gone without a word is noticed within half a minute.
_LINK = {"connect_timeout": CONNECT_S, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')"


def open_store(address: str, *, begun: bool = False) -> SqlStore:
    """The store at an address; made where there is none.  Raises StoreError; where it has to have `begun`, SpecError."""
    url = read_address(address)
    place = shown(url)
    engine = connected(url)
    try:
        with mapped(place):
            _require_utf8(engine, place)
            if begun and revision(engine) is None:
                raise SpecError(
                    f"{place} holds no farm: look for a typing error in LUTFARM_STORE, or begin a farm there: "
                    "lutfarm device register this-machine --local"
                )
            migrate(engine, place)
        return SqlStore(engine, place)
    except BaseException:
        engine.dispose()
        raise


def read_address(address: str) -> URL:
    """Raises SpecError, which does not repeat it: there may be a password in it."""
    try:
        url = make_url(address.strip())
        port = url.port
    except (ArgumentError, ValueError) as error:
        raise SpecError(f"LUTFARM_STORE is no address of a store, such as {SHAPE}") from error
    if url.drivername not in (DRIVER, "postgresql") or not url.database or port == 0:
        raise SpecError(f"LUTFARM_STORE names no database of PostgreSQL; it should look like {SHAPE}")
    return url.set(drivername=DRIVER)


def shown(url: URL) -> str:
    """Where the store is, for people: without password and without options, among which one could be."""
    host = url.query.get("host", "") if not url.host else url.host
    host = host if isinstance(host, str) else ",".join(host)
    port = f":{url.port}" if url.port else ""
    user = f"{url.username}@" if url.username else ""
    return f"postgresql://{user}{host}{port}/{url.database}"


def connected(url: URL) -> Engine:
    """Its connections, each as a store needs it."""
    engine = create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=25, connect_args=dict(_LINK), hide_parameters=True)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{WAIT_S}s'")
        cursor.execute(_DURABLE)
    connection.autocommit = False


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    else:
        connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = '{HUNG_S}s'; SELECT pg_advisory_xact_lock({WRITER})"
        )


def _require_utf8(engine: Engine, place: str) -> None:
    with engine.connect().execution_options(reads=True) as db:
        encoding = db.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError(
            f"{place}: a database of the encoding {encoding}; make one of UTF8: createdb --encoding UTF8 --template template0"
        )
