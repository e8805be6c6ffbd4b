"""A lab: a server, two hosts, a desktop, a phone, a board, three people's jobs, and every process killed while they measure."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.acceptance.conftest import Lutfarm
from tests.acceptance.test_serve import Farm, cmdline, hosts, job, joined, runs_of, serving
from tests.rig.board import Board
from tests.rig.fixtures import board, phone, ssh_key
from tests.rig.phone import Phone
from tests.rig.postgresql import PostgreSql

__all__ = ["board", "phone", "ssh_key"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROUNDS = 16
JOBS = {"ann": ("[desk, phone]", (8, 16)), "bob": ("[desk, board]", (24, 16)), "eve": ("[phone, board]", (8, 32))}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def entries(table: Path) -> dict[str, dict[str, Any]]:
    return {entry["key"]: entry for entry in json.loads(table.read_text())["entries"]}


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[PostgreSql | None]:
    if request.param == "SQLite":
        yield None
        return
    with PostgreSql() as server:
        monkeypatch.setenv("LUTFARM_STORE", server.database())
        yield server


def kill_one(farm: Farm, word: str) -> bool:
    """Whether one was there."""
    found = [one for one in psutil.Process(farm.process.pid).children(recursive=True) if word in " ".join(cmdline(one))]
    for one in found[-1:]:
        one.kill()
    return bool(found)


@contextmanager
def killed_with(process: subprocess.Popen[bytes]) -> Generator[None]:
    """The block's process of a host, and the parts of Ray that it started, die at once."""
    parts = psutil.Process(process.pid).children(recursive=True)
    for one in [process, *parts]:
        one.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(parts, timeout=60)
    yield


def test_every_job_is_whole_though_every_process_is_killed_once(
    lutfarm: Lutfarm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database: PostgreSql | None,
    phone: Phone,
    board: Board,
    ssh_key: tuple[Path, str],
) -> None:
    on_board = ("--ssh", f"root@{board.link.address}", "--key", str(ssh_key[0]), "--python", sys.executable)
    on_phone = ("--adb", phone.address, "--python", sys.executable)
    texts = {user: job(user, *widths, devices=devices, rounds=ROUNDS) for user, (devices, widths) in JOBS.items()}
    home = tmp_path / "home"
    tokens = {}
    for user, role in [("admin", "operator"), *((user, "submitter") for user in JOBS)]:
        made = lutfarm("token", "create", user, "--role", role)
        assert made.returncode == 0, made.stderr
        tokens[user] = made.stdout.strip()
    monkeypatch.setenv("LUTFARM_TOKEN", tokens["admin"])
    registered = lutfarm("device", "register", "desk", "--local")
    assert registered.returncode == 0, registered.stderr
    port = str(free_port())

    def register(farm: Farm, name: str, host: str, *where: str) -> None:
        said = lutfarm(
            *("--server", farm.address, "device", "register", name, *where, "--host", host),
            LUTFARM_HOME=str(tmp_path / f"home-{host}"),
        )
        assert said.returncode == 0, said.stderr

    with ExitStack() as lab:
        farm = lab.enter_context(serving(tmp_path, "--executor", "ray", "--port", port, killed=True))
        first, second = (
            lab.enter_context(joined(tmp_path, farm, name, at)) for name, at in (("a", "127.0.0.3"), ("b", "127.0.0.4"))
        )
        register(farm, "phone", "a", *on_phone)
        register(farm, "board", "b", *on_board)
        jobs = {}
        for user, text in texts.items():
            answer = farm.api.post("/jobs", json={"job": text}, headers={"Authorization": f"Bearer {tokens[user]}"})
            assert answer.status_code == 201, answer.text
            jobs[user] = str(answer.json()["id"])

        def stored() -> int:
            return sum(len(runs_of(home, each)) for each in jobs.values())

        seen: set[str] = set()

        def more(count: int) -> None:
            """So many runs more; what is stored is never lost."""
            before = stored()
            farm.until(lambda: stored() >= before + count, f"{count} runs more than {before}")
            now = {run.id for each in jobs.values() for run in runs_of(home, each)}
            assert seen <= now
            seen.update(now)

        farm.until(
            lambda: {run.device for each in jobs.values() for run in runs_of(home, each)} == {"desk", "phone", "board"},
            "all measure",
        )
        for word in ("lutfarm_runner", "lutfarm.server.dispatcher"):
            farm.until(lambda word=word: kill_one(farm, word), f"{word} is killed")
            more(3)
        with killed_with(second):
            farm.until(lambda: hosts(farm)["b"] == "lost", "the host's death is seen")
        lab.enter_context(joined(tmp_path, farm, "b", "127.0.0.4"))
        more(2)
        if database is not None:
            database.kill()
            database.start()
            more(2)
        farm.process.send_signal(signal.SIGKILL)
        farm.process.wait(60)
        lab.enter_context(again := ExitStack())
        farm = again.enter_context(serving(tmp_path, "--executor", "ray", "--port", port))
        farm.until(lambda: hosts(farm) == {"a": "joined", "b": "joined"}, "both hosts are back by themselves")
        assert first.poll() is None
        farm.until_over(*jobs.values())
        assert {user: farm.job(each)["state"] for user, each in jobs.items()} == dict.fromkeys(jobs, "complete")
        for user, each in jobs.items():
            exported = lutfarm("--server", farm.address, "lut", "export", each, "--out", f"{user}.json")
            assert exported.returncode == 0, exported.stderr
        again.close()
    for user, each in jobs.items():
        kept = runs_of(home, each)
        assert "failed" not in {run.status for run in kept}, user
        whole = Counter(run.key for run in kept if run.status == "complete")  # what broke off with a process is none
        assert list(whole.values()) == [ROUNDS] * 4, "nothing is lost, and nothing measured twice"
    checked = lutfarm("db", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    if database is None:
        _undisturbed(lutfarm, tmp_path, monkeypatch, texts, (on_phone, on_board))


def _undisturbed(
    lutfarm: Lutfarm, folder: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], where: tuple[tuple[str, ...], ...]
) -> None:
    """The same jobs one after the other by `lutfarm run` give tables whose intervals meet those of the farm."""
    monkeypatch.delenv("LUTFARM_TOKEN")
    monkeypatch.delenv("LUTFARM_STORE", raising=False)
    alone = {"LUTFARM_HOME": str(folder / "alone")}
    for words in (("desk", "--local"), ("phone", *where[0]), ("board", *where[1])):
        said = lutfarm("device", "register", *words, **alone)
        assert said.returncode == 0, said.stderr
    for user, text in texts.items():
        (folder / "job.yaml").write_text(text)
        for words in (("run", "job.yaml"), ("lut", "export", user, "--out", "alone.json")):
            said = lutfarm(*words, **alone)
            assert said.returncode == 0, said.stderr
        quiet, killed = entries(folder / "alone.json"), entries(folder / f"{user}.json")
        assert quiet.keys() == killed.keys()
        for key, one in quiet.items():
            other = killed[key]
            # Intervals of 95 % each, on a machine that is busy at one time and quiet at another.
            assert one["low"] <= 1.25 * other["high"], key
            assert other["low"] <= 1.25 * one["high"], key
