"""How long threads waited for a core."""

from __future__ import annotations

import threading
import time

import pytest

from lutfarm_runner import time_without_core


@pytest.mark.parametrize("threads", [1, 2])
def test_waiting_never_runs_backwards(threads):
    clock = time_without_core.run_delay(threads)
    looks = []
    for _ in range(50):
        looks.append(clock())
        time.sleep(0)
    assert looks == sorted(looks)


def test_where_there_is_no_account_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(time_without_core, "OWN", str(tmp_path / "none"))
    monkeypatch.setattr(time_without_core, "TASKS", str(tmp_path / "none"))
    assert time_without_core.run_delay(1)() is None
    assert time_without_core.run_delay(2)() is None


@pytest.mark.parametrize("content", ["", "1", "a b c"])
def test_an_account_that_is_no_account_is_none(monkeypatch, tmp_path, content):
    (tmp_path / "schedstat").write_text(content)
    monkeypatch.setattr(time_without_core, "OWN", str(tmp_path / "schedstat"))
    assert time_without_core.run_delay(1)() is None


def test_all_threads_count_and_one_that_ends_is_left_out(monkeypatch, tmp_path):
    for name, ns in (("7", 100), ("8", 30)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(f"5000 {ns} 3\n")
    monkeypatch.setattr(time_without_core, "TASKS", str(tmp_path))
    clock = time_without_core.run_delay(2)
    assert clock() == 130
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "schedstat").write_text("1 1000 1\n")
    assert clock() == 1130
    (tmp_path / "8" / "schedstat").unlink()
    (tmp_path / "8").rmdir()
    assert clock() == 1100


def test_another_threads_waiting_is_none_of_a_single_ones():
    clock = time_without_core.run_delay(1)
    first = clock()
    found = []
    other = threading.Thread(target=lambda: found.append(time_without_core.run_delay(1)()))
    other.start()
    other.join()
    assert (found[0] is None) == (first is None)
