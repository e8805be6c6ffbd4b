"""What a host's actor does with model files, without Ray; and the folder that a Ray of ours lives in."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Done
from lutfarm.agent_pool.ray.host_actor import Host
from lutfarm.agent_pool.ray.private_folder import private_folder, sweep
from lutfarm.agent_pool.ray.settings import environment, settings
from lutfarm_agents.process_identity import me
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.errors import TransferFailed


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    found = Host((tmp_path / "host", frozenset()), ScriptedAgents({"desk": Script()}))
    yield found
    found.close()


def test_what_the_host_sees_is_not_missing(host: Host, tmp_path: Path) -> None:
    artifact, path = kit.model(tmp_path, n=1)
    assert host.missing({artifact.sha256: path}) == []


def test_what_it_cannot_see_or_what_is_another_file_is_missing(host: Host, tmp_path: Path) -> None:
    one, path = kit.model(tmp_path, n=1)
    two, _ = kit.model(tmp_path, n=2)
    three, gone = kit.model(tmp_path, n=3)
    gone.unlink()
    assert host.missing({one.sha256: path, two.sha256: path, three.sha256: gone}) == [two.sha256, three.sha256]


def test_a_received_file_is_kept_for_the_next_time(host: Host, tmp_path: Path) -> None:
    artifact, path = kit.model(tmp_path, n=1)
    content = path.read_bytes()
    path.unlink()
    host.receive(artifact.sha256, content[:3], 0, len(content))
    assert host.missing({artifact.sha256: path}) == [artifact.sha256]
    host.receive(artifact.sha256, content[3:], 3, len(content))
    assert host.missing({artifact.sha256: path}) == []
    later = Host((tmp_path / "host", frozenset()), ScriptedAgents())
    assert later.missing({artifact.sha256: path}) == []
    later.close()


def test_a_file_that_arrived_damaged_is_refused_and_forgotten(host: Host, tmp_path: Path) -> None:
    artifact, path = kit.model(tmp_path, n=1)
    with pytest.raises(TransferFailed, match="damaged"):
        host.receive(artifact.sha256, path.read_bytes() + b"x", 0, 1)
    assert not list((tmp_path / "host" / "received").iterdir())


def test_a_file_that_is_sent_once_more_begins_anew_and_one_with_a_gap_is_refused(host: Host, tmp_path: Path) -> None:
    artifact, path = kit.model(tmp_path, n=1)
    content = path.read_bytes()
    path.unlink()
    host.receive(artifact.sha256, content[:5], 0, len(content))
    host.receive(artifact.sha256, content[:3], 0, len(content))
    with pytest.raises(TransferFailed, match="damaged"):
        host.receive(artifact.sha256, content[5:], 5, len(content))
    assert host.missing({artifact.sha256: path}) == [artifact.sha256]
    host.receive(artifact.sha256, content[:3], 0, len(content))
    host.receive(artifact.sha256, content[3:], 3, len(content))
    assert host.missing({artifact.sha256: path}) == []


def test_an_opening_from_an_actor_that_died_opens_the_device_again(host: Host) -> None:
    order = kit.measuring("desk", kit.task("desk", "a"))
    host.submit(order, kit.opening("desk"))
    events = []
    kit.until(lambda: bool(events.extend(host.poll(0.2)) or any(isinstance(e, Done) for e in events)), "no end came")
    assert [type(event).__name__ for event in events] == ["Opened", "Progress", "Measured", "Done"]
    assert {event.order for event in events} == {order.id}


def test_the_folder_is_private_and_goes_away() -> None:
    with private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "ray").chmod(0o777)
        token = Path(settings(folder)["RAY_AUTH_TOKEN_PATH"])
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert len(str(folder / "ray")) + 66 < 107
    assert not folder.exists()


def test_every_ray_has_a_token_of_its_own() -> None:
    tokens: set[str] = set()
    for _ in range(2):
        with private_folder() as folder:
            tokens.add(Path(settings(folder)["RAY_AUTH_TOKEN_PATH"]).read_text())
    assert len(tokens) == 2


def test_a_long_temporary_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with private_folder() as folder:
        assert folder.parent == Path("/tmp")


HOLD_OPEN = "import sys; f = open(sys.argv[1], 'w'); print(flush=True); input()"


def test_sweeping_takes_what_a_dead_process_left_and_nothing_else(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_OPEN, str(tmp_path / "lutfarm-dead.log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    stale, alive, foreign, damaged = (tmp_path / f"lutfarm-{n}" for n in ("stale", "alive", "foreign", "damaged"))
    for folder, owner in ((stale, str(replace(me(), pid=999_999_999))), (alive, str(me())), (damaged, "1:2")):
        folder.mkdir()
        (folder / "owner").write_text(owner)
    foreign.mkdir()
    logging = subprocess.Popen(
        [sys.executable, "-c", HOLD_OPEN, str(stale / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for process in (holder, logging):
        assert process.stdout is not None
        process.stdout.readline()
    assert sweep(tmp_path) == 1
    assert logging.wait(timeout=30) == -9
    assert holder.poll() is None
    assert (stale.exists(), alive.exists(), foreign.exists(), damaged.exists()) == (False, True, True, True)
    holder.kill()
    for process in (holder, logging):
        process.communicate()


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTFARM_TEST_A", "old")
    monkeypatch.delenv("LUTFARM_TEST_B", raising=False)
    with environment({"LUTFARM_TEST_A": "new", "LUTFARM_TEST_B": "new"}):
        assert (os.environ["LUTFARM_TEST_A"], os.environ["LUTFARM_TEST_B"]) == ("new", "new")
    assert os.environ["LUTFARM_TEST_A"] == "old"
    assert "LUTFARM_TEST_B" not in os.environ
