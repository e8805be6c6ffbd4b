"""The store in PostgreSQL: a server that goes away, writers that crash or hang, wrong addresses, secrets that stay so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, text
from tests.rig.fixtures import postgresql
from tests.rig.postgresql import PostgreSql
from tests.store_kit import DESK, JOB, OWNER, PLAN, run

from lutfarm.store import open_store
from lutfarm.store.sql import postgresql as opening
from lutfarm.store.sql.schema import metadata
from lutfarm_jobs.errors import LeaseLost, SpecError, StoreError
from lutfarm_jobs.round import Lease

__all__ = ["postgresql"]
HERE = Path(__file__).parents[2]
COMMIT_FOR_EVER = """
import sys
from lutfarm.store.sql.postgresql import open_store
from tests.store_kit import JOB, PLAN, run
store = open_store(sys.argv[1])
store.open_job(JOB, PLAN)
lease = store.acquire("desk", owner=f"elsewhere {sys.argv[2]} 1.00", holder="x", now_s=0.0, ttl_s=0.0)
for _ in range(100_000):
    one = run()
    store.commit([one], lease, "job-1")
    print(one.id, flush=True)
"""


@pytest.fixture
def address(postgresql: PostgreSql) -> str:
    return postgresql.database()


@pytest.fixture
def home(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTFARM_STORE", address)
    return tmp_path / "home"


@pytest.fixture
def own_server() -> Iterator[PostgreSql]:
    """One that this test may stop."""
    with PostgreSql() as found:
        yield found


def python(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)], cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_home_names_a_database_and_keeps_nothing_of_it_but_where_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(home) as store:
        store.put_device(DESK)
    with open_store(home, to_read=True) as store:
        assert list(store.devices()) == [DESK]
    assert [path.name for path in home.iterdir()] == ["store"]
    monkeypatch.delenv("LUTFARM_STORE")
    with pytest.raises(SpecError, match=rf"the farm of {home} is kept in postgresql://.*/farm_\d+: say so in LUTFARM_STORE"):
        open_store(home)
    assert [path.name for path in home.iterdir()] == ["store"]


@pytest.mark.parametrize("how", [{"to_read": True}, {"begun": True}])
def test_a_database_without_a_farm_is_refused_and_nothing_is_made_there(home: Path, address: str, how: dict[str, bool]) -> None:
    with pytest.raises(SpecError, match=r"/farm_\d+ holds no farm: look for a typing error in LUTFARM_STORE"):
        open_store(home, **how)
    with create_engine(address, poolclass=NullPool).connect() as db:
        assert db.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one() == 0
    assert not home.exists()


def test_a_server_that_was_away_is_reached_again_by_the_next_call(own_server: PostgreSql) -> None:
    with opening.open_store(own_server.database()) as store:
        store.open_job(JOB, PLAN)
        lease = store.acquire("desk", owner=OWNER, holder="ann", now_s=0.0, ttl_s=60.0)
        assert isinstance(lease, Lease)
        kept = run()
        store.commit([kept], lease, JOB.id)
        own_server.stop()
        for call in (lambda: store.commit([run()], lease, JOB.id), store.devices, lambda: list(store.runs(JOB.id))):
            with pytest.raises(StoreError, match=r"farm_1: .*PostgreSQL does not answer. See that it runs .* run again"):
                call()
        own_server.start()
        assert list(store.runs(JOB.id)) == [kept]
        own_server.stop()
        own_server.start()
        store.commit([kept, run()], lease, JOB.id)  # no call noticed that it was away
        assert len(list(store.runs(JOB.id))) == 2


def test_a_server_that_goes_away_under_a_transaction_leaves_nothing_half_done(own_server: PostgreSql) -> None:
    with opening.open_store(own_server.database()) as store:
        with pytest.raises(StoreError, match="does not answer"), store._write() as db:
            db.execute(text("INSERT INTO devices (name, content) VALUES ('half', '{}')"))
            own_server.stop()
            own_server.start()
            db.execute(text("INSERT INTO devices (name, content) VALUES ('done', '{}')"))
        assert list(store.devices()) == []


def test_processes_that_open_a_new_database_at_once_migrate_it_once(address: str) -> None:
    code = "import sys\nfrom lutfarm.store.sql.postgresql import open_store\nprint(open_store(sys.argv[1]).farm_id)"
    said = [process.communicate(timeout=120) for process in [python(code, address) for _ in range(3)]]
    assert len({out for out, _ in said}) == 1, said
    assert len(said[0][0]) == 33, said


def test_the_migrations_make_what_the_tables_say(address: str) -> None:
    opening.open_store(address).close()
    with create_engine(address, poolclass=NullPool).connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_a_killed_writer_loses_nothing_that_it_was_told_is_there(address: str) -> None:
    acknowledged: list[str] = []
    for attempt in range(3):
        with python(COMMIT_FOR_EVER, address, attempt) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            assert first, writer.stderr and writer.stderr.read()
            time.sleep(0.02 * attempt)
            writer.send_signal(signal.SIGKILL)
            acknowledged += [first.strip(), *(line.strip() for line in writer.stdout if len(line) == 33)]
    with opening.open_store(address) as store:
        stored = [found.id for found in store.runs("job-1")]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 3  # committed and not acknowledged: one a kill at most


def test_who_will_write_keeps_other_writers_out_from_its_first_look_on_and_who_reads_nobody(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT_S", 1)
    with opening.open_store(address) as store, opening.open_store(address) as other:
        with store._read() as db:
            before = db.execute(text("SELECT count(*) FROM devices")).scalar_one()
            other.put_device(DESK)
            assert db.execute(text("SELECT count(*) FROM devices")).scalar_one() == before  # one moment is read
        with store._write() as db:
            db.execute(text("SELECT count(*) FROM devices")).scalar_one()
            with pytest.raises(StoreError, match="another process is writing for too long"):
                other.put_device(DESK)
            assert list(other.devices()) == [DESK]
        other.put_device(DESK)


def test_a_writer_that_hangs_lets_others_pass_and_is_told_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "HUNG_S", 1)
    with opening.open_store(address) as hung, opening.open_store(address) as other:
        with pytest.raises(StoreError, match="wrote nothing for too long"), hung._write() as db:
            db.execute(text("INSERT INTO devices (name, content) VALUES ('half', '{}')"))
            other.put_device(DESK)
            db.execute(text("SELECT 1"))
        assert list(hung.devices()) == [DESK]


def test_a_lease_that_passes_on_while_a_late_result_arrives_refuses_it(address: str) -> None:
    with opening.open_store(address) as late, opening.open_store(address) as newer:
        late.open_job(JOB, PLAN)
        lease = late.acquire("desk", owner=OWNER, holder="ann", now_s=0.0, ttl_s=1.0)
        assert isinstance(lease, Lease)
        with newer._write() as db:  # as somebody else takes it, who has not committed yet
            db.execute(text("UPDATE leases SET token = token + 1"))
            with python(
                "import sys\nfrom lutfarm.store.sql.postgresql import open_store\nfrom tests.store_kit import *\n"
                f"with open_store(sys.argv[1]) as s:\n s.commit([run()], Lease('desk', {lease.token}, OWNER, 1.0), 'job-1')",
                address,
            ) as process:
                waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                deadline_s = time.monotonic() + 60
                while not db.execute(waits).scalar_one():
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    assert time.monotonic() < deadline_s
                    time.sleep(0.05)
                db.commit()
                _, error = process.communicate(timeout=60)
        assert "LeaseLost: desk: the lease passed to another run; its late result was refused" in error
        assert list(late.runs(JOB.id)) == []
        with pytest.raises(LeaseLost):
            late.commit([run()], lease, JOB.id)


def test_what_an_acknowledged_commit_means_does_not_depend_on_the_servers_settings(address: str) -> None:
    """synchronous_commit = off would answer before anything is on the disk."""
    name = address.partition("?")[0].rpartition("/")[2]
    with create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as db:
        db.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    with opening.open_store(address) as store, store._write() as db:
        assert db.execute(text("SHOW synchronous_commit")).scalar_one() == "on"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql+psycopg://ann:s3cret@127.0.0.1:1/farm", r"postgresql://ann@127.0.0.1:1/farm: .*does not answer"),
        ("postgresql://ann:s3cret@127.0.0.1:1/farm", r"postgresql://ann@127.0.0.1:1/farm: .*does not answer"),
        ("postgresql+psycopg://ann@127.0.0.1:1/farm?password=s3cret", r"postgresql://ann@127.0.0.1:1/farm: .*does not answer"),
        ("postgresql+psycopg://ann:s3cret@127.0.0.1/farm?no_option=1", r"postgresql://ann@127.0.0.1/farm: .*no_option"),
        ("postgresql+psycopg://ann:s3cret@127.0.0.1:port/farm", "no address of a store, such as postgresql"),
        ("postgresql+psycopg://ann:s3cret@127.0.0.1", "names no database"),
        ("mysql://ann:s3cret@127.0.0.1/farm", "names no database of PostgreSQL"),
        ("sqlite:///s3cret", "names no database of PostgreSQL"),
        ("s3cret", "no address of a store"),
    ],
)
def test_a_wrong_address_is_said_without_its_secret(address: str, said: str) -> None:
    found = subprocess.run(
        [str(Path(sys.executable).with_name("lutfarm")), "job", "list"],
        env={**os.environ, "LUTFARM_STORE": address},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode in (2, 4, 6), found
    assert "Traceback" not in found.stderr
    assert "s3cret" not in found.stdout + found.stderr
    words = " ".join(found.stderr.split())
    with pytest.raises((SpecError, StoreError), match=said) as refused:
        opening.open_store(address)
    assert "s3cret" not in str(refused.value)
    assert words


def test_a_password_that_is_wrong_a_database_that_is_not_there_and_one_of_another_encoding(
    postgresql: PostgreSql, address: str
) -> None:
    name = address.partition("?")[0].rpartition("/")[2]
    opening.open_store(postgresql.over_tcp(name, postgresql.password)).close()
    for wrong, said in (
        (postgresql.over_tcp(name, "s3cret"), "password authentication failed.*; see the user in LUTFARM_STORE"),
        (postgresql.address("none"), 'database "none" does not exist; make it: createdb --encoding UTF8'),
        (postgresql.database(encoding="LATIN1"), "encoding LATIN1; make one of UTF8"),
    ):
        with pytest.raises(StoreError, match=said) as refused:
            opening.open_store(wrong)
        assert "s3cret" not in str(refused.value)
