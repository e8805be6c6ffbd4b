"""What a check finds in a store that is not sound."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests import store_kit as kit

from lutfarm.store import open_store


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """What a check says of a sound store that statements changed."""

    def found(*statements: str) -> list[tuple[str, str]]:
        shutil.rmtree(tmp_path / "broken", ignore_errors=True)
        with open_store(tmp_path / "broken") as store:
            kit.fill(store)
        with closing(sqlite3.connect(tmp_path / "broken" / "farm.db")) as db:
            db.execute("PRAGMA foreign_keys=OFF")
            db.execute("UPDATE jobs SET spec_json = ?", (spec(),))
            for statement in statements:
                db.execute(statement)
            db.commit()
        with open_store(tmp_path / "broken", to_read=True) as store:
            return [(fault.where, fault.what) for fault in store.faults()]

    return found


def spec() -> str:
    from lutfarm_jobs.spec import parse_job

    content = {"name": "job", "workloads": [{"space": "fbnet-32"}], "devices": ["desk"], "backends": [{"runtime": "onnxruntime"}]}
    return parse_job(content, source="job.yaml").model_dump_json()


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("DELETE FROM fingerprints", "runs 1", "its fingerprint is not in fingerprints"),
        ("DELETE FROM environments WHERE number = (SELECT before FROM runs)", "runs 1", "its before is not in environments"),
        ("DELETE FROM jobs WHERE id = 'job-1'", "measurements job-1/0", "its job_id is not in jobs"),
        ("DELETE FROM jobs WHERE id = 'job-2'", "queued_jobs job-2", "its job_id is not in jobs"),
        ("DELETE FROM runs WHERE number = 2", "job_runs job-1/2", "its run is not in runs"),
        ("UPDATE runs SET slices = CAST(slices || x'00' AS BLOB)", "runs 1", "samples are damaged"),
        ("UPDATE runs SET content = '{' WHERE number = 2", "runs 2", "a stored Run is damaged"),
        ("UPDATE runs SET key = 'odd' WHERE number = 2", "runs 2", "is no measurement's key"),
        ("UPDATE runs SET device = 'other' WHERE number = 2", "runs 2", "its key is of desk, and it ran on other"),
        ('UPDATE fingerprints SET content = \'{"a":"b"}\'', "fingerprints 1", "does not have its checksum"),
        ("UPDATE measurements SET key = 'x' WHERE position = 1", "measurements job-1/1", "that of another measurement"),
        ("UPDATE jobs SET spec_json = '{}' WHERE id = 'job-2'", "jobs job-2", "stored job can't be read"),
        ("UPDATE jobs SET state = 'complete'", "jobs job-2", "in the queue although it is complete"),
        ("UPDATE device_checks SET fit = 2", "device_checks", "fit is neither true nor false in 1 rows"),
        ("UPDATE leases SET token = 'abc'", "leases desk", "leases.token holds a str"),
        ("UPDATE devices SET content = '[]'", "devices desk", "a stored Device is damaged"),
        ("UPDATE devices SET hello = '{}'", "devices desk", "a stored Hello is damaged"),
        ("UPDATE probes SET content = replace(content, 'conv_a', 'conv_b')", "probes ", "that of another probe"),
        ("UPDATE device_checks SET content = replace(content, 'desk', 'desc')", "device_checks desk/0", "of another device"),
    ],
)
def test_a_check_finds_what_is_wrong(broken: Callable[..., list[tuple[str, str]]], statement: str, where: str, what: str) -> None:
    assert broken() == []
    found = broken(statement)
    assert [each for each in found if each[0].startswith(where) and what in each[1]], found


def test_a_check_ends_where_too_much_is_wrong(broken: Callable[..., list[tuple[str, str]]]) -> None:
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
        "INSERT INTO job_probes (job_id, key, failed) SELECT 'none', i, 0 FROM n"
    )
    found = broken(many)
    assert len(found) == 1001
    assert "no more are looked for" in found[-1][1]


def test_damaged_pages_are_found(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        kit.fill(store)
    with closing(sqlite3.connect(tmp_path / "farm.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_runs_round_id'").fetchone()
    with (tmp_path / "farm.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\0\0")  # this index says that it is empty
    with open_store(tmp_path, to_read=True) as store:
        assert any("ix_runs_round_id" in fault.what for fault in store.faults())
