"""What a host of a served farm had measured when processes were killed is stored, once: real processes, a real Ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tests.acceptance.test_serve import Farm, home, job, joined, runs_of, serving, token

from lutfarm.agent_pool.spool import Spool, SpoolLimits
from lutfarm.store import open_store

__all__ = ["home", "token"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("token")]
ROUNDS = 60
TRIES, WAITS_S = 12, 3.0  # a dispatcher that is left alone for five seconds ends, and comes back later each time


def kept_in(spool: Path) -> Iterator[Path]:
    return (file for file in spool.glob("*/*/*") if not file.name.startswith("."))


def stopped_with_a_result(farm: Farm, spool: Path, job_id: str) -> None:
    """The server is stopped, so that what was measured since then can't have been stored.  A round has to run just then."""
    server = psutil.Process(farm.process.pid)
    for _ in range(TRIES):
        before = farm.job(job_id)["counts"]["runs"]
        farm.until(lambda before=before: farm.job(job_id)["counts"]["runs"] > before, "it goes on")
        server.suspend()
        farm.until(lambda: server.status() == psutil.STATUS_STOPPED, "stopped")
        since_s = time.time()
        while time.time() < since_s + WAITS_S:
            if any(file.stat().st_mtime > since_s for file in kept_in(spool)):
                return
            time.sleep(0.05)
        server.resume()
    raise AssertionError("no round ended while the server was stopped")


def left_ids(spool: Path, farm_id: str, device: str) -> set[str]:
    return {kept.run.id for kept in Spool(spool, SpoolLimits()).left(farm_id, device)}


@pytest.mark.parametrize("server", ["goes on", "is killed"])
def test_what_was_not_handed_over_when_the_dispatcher_was_killed_is_stored_once(home: Path, tmp_path: Path, server: str) -> None:
    """On a host that joined where the server goes on, and on the server's own where that is killed too."""
    killed = server == "is killed"
    device, host_home = ("desk", home) if killed else ("far", tmp_path / "home-b")
    spool = host_home / "agents" / "spool"
    with open_store(home) as store:  # while the server stands still, it may have the database to itself
        farm_id = store.farm_id
    with ExitStack() as running:
        farm = running.enter_context(serving(tmp_path, "--executor", "ray", killed=killed))
        if not killed:
            running.enter_context(joined(tmp_path, farm, "b", "127.0.0.3"))
        one = farm.submit(job("one", 8, devices=f"[{device}]", rounds=ROUNDS))
        stopped_with_a_result(farm, spool, one)
        victim = farm.dispatcher()
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        if killed:
            farm.process.kill()
            farm.process.wait(60)
            left, stored = left_ids(spool, farm_id, device), {run.id for run in runs_of(home, one)}
            assert left - stored, "it had been measured, and was not stored"
            farm = running.enter_context(serving(tmp_path, "--executor", "ray"))
        else:
            left = left_ids(spool, farm_id, device)
            assert left
            farm.process.send_signal(signal.SIGCONT)
            farm.until(lambda: farm.dispatcher() not in (None, victim), "another dispatcher")
        farm.until_over(one)
        assert farm.job(one)["state"] == "complete"
        said = farm.log.read_text()
    stored = [run.id for run in runs_of(home, one)]
    assert "results that were left on the host" in said
    assert left <= set(stored), "nothing was lost"
    assert len(stored) == ROUNDS, "and nothing measured again: what was left counts"
    assert list(kept_in(spool)) == [], "all of it is acknowledged"
