"""`lutfarm db`, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store_kit import DESK, JOB, PLAN

from lutfarm.store import open_store


def lutfarm(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lutfarm")), "db", *map(str, words)],
        env={**os.environ, "LUTFARM_HOME": str(home), "XDG_CONFIG_HOME": str(home.parent / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_farm_is_looked_at_copied_and_brought_back(tmp_path: Path) -> None:
    home, other, third = tmp_path / "home", tmp_path / "other", tmp_path / "third"
    with open_store(home) as store:
        store.put_device(DESK)
    assert lutfarm(home, "check").returncode == 0
    assert "schema 0004" in lutfarm(home, "upgrade").stderr
    assert lutfarm(home, "export", tmp_path / "farm.db").returncode == 0
    moved = lutfarm(other, "import", tmp_path / "farm.db", "--json")
    assert json.loads(moved.stdout)["rows"]["devices"] == 1
    assert lutfarm(other, "import", tmp_path / "farm.db").returncode == 2
    assert json.loads(lutfarm(other, "backup", tmp_path / "farm.tar", "--json").stdout)["files"] == 1
    restored = lutfarm(third, "restore", tmp_path / "farm.tar")
    assert "has the farm of" in restored.stderr
    again = lutfarm(third, "restore", tmp_path / "farm.tar")
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)
    with open_store(third, to_read=True) as store:
        assert list(store.devices()) == [DESK]
    for words in (("check",), ("upgrade",), ("export", "x.db"), ("backup", tmp_path / "x.tar")):
        assert lutfarm(tmp_path / "none", *words).returncode == 2
    assert not (tmp_path / "none").exists()


def test_a_database_behind_a_server_is_looked_at_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTFARM_SERVER", "http://127.0.0.1:1")
    for words in (("check",), ("upgrade",), ("export", "x"), ("import", "x"), ("backup", "x"), ("restore", "x")):
        refused = lutfarm(tmp_path / "home", *words)
        assert (refused.returncode, "run it there" in refused.stderr) == (2, True), refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_faults_are_listed_and_end_with_four(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        store.open_job(JOB, PLAN)  # its file can't be read: it is no job's
    found = lutfarm(tmp_path / "home", "check", "--json")
    assert found.returncode == 4
    assert [fault["where"] for fault in json.loads(found.stdout)["faults"]] == ["jobs job-1"]
    assert "jobs job-1" in lutfarm(tmp_path / "home", "check").stdout
