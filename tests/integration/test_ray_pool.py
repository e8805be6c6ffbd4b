"""RayPool against a real Ray: death in mid-round, what it opens, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import Done, Opened
from lutfarm.agent_pool.ray import end_ray
from lutfarm.agent_pool.ray import pool as ray_pool
from lutfarm.agent_pool.ray.end_ray import Ending
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm.agent_pool.ray.private_folder import sweep
from lutfarm.agent_pool.ray.processes import descendants
from lutfarm_agents.testing import Script, ScriptedAgents
from lutfarm_jobs.errors import NotReady

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(found / "config"))
        patch.setenv("HOME", str(found / "home"))
        (found / "home").mkdir()
        kit.write_profile(found / "config", found / "device.lock")
        yield found


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[RayPool]:
    scripts = {name: Script(hold_at="mid-round", release=folder / name) for name in ("shot", "hung", "idle")}
    found = RayPool.start(
        state_dir=folder / "agents", measured_cpus=frozenset({kit.last_cpu()}), agent_factory=ScriptedAgents(scripts)
    )
    yield found
    found.close()


def test_a_ray_that_does_not_start_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(NotReady, match=r"did not start .*timed out during startup.*--executor local"):
        RayPool.start(state_dir=tmp_path)


@pytest.fixture
def listener(pool: RayPool) -> kit.Listener:
    return kit.Listener(pool)


def open_(listener: kit.Listener, *devices: str) -> None:
    for device in devices:
        order = kit.opening(device)
        listener.pool.submit(order)
        assert listener.done(order.id).error is None


def held_round(listener: kit.Listener, folder: Path, device: str) -> str:
    order = kit.measuring(device, kit.task(device, "a"), kit.task(device, "b"))
    listener.pool.submit(order)
    kit.until((folder / f"{device}.reached").exists, f"{device} never got into its round")
    return order.id


def rays_own() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def listening(process: psutil.Process) -> list[str]:
    return [c.laddr.ip for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]


def test_what_listens_beyond_loopback_is_what_the_docs_name(listener: kit.Listener) -> None:
    open_(listener, "idle")
    found: dict[str, int] = {}
    for process in [psutil.Process(), *rays_own()]:
        beyond = [ip for ip in listening(process) if not ip.startswith("127.") and ip != "::1"]
        if beyond:
            name = "driver" if process.pid == os.getpid() else process.name()
            found[name] = len(beyond)
    assert found == {"driver": 1, "gcs_server": 1, "raylet": 2, "ray::Host": 1}
    documented = (Path(__file__).parents[2] / "docs" / "ray.md").read_text()
    for name, count in found.items():
        assert f"| `{name}` | {count} |" in documented


def test_nothing_of_it_connects_beyond_loopback(listener: kit.Listener) -> None:
    open_(listener, "idle")
    remote = {
        connection.raddr.ip
        for process in [psutil.Process(), *rays_own()]
        for connection in process.net_connections(kind="inet")
        if connection.raddr
    }
    assert remote
    assert all(ip.startswith(("127.", "::ffff:127.")) for ip in remote)


def test_the_token_is_a_private_file_and_stands_in_no_command_line(listener: kit.Listener, folder: Path) -> None:
    open_(listener, "idle")
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    token = path.read_text()
    assert len(token) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    servers = [process for process in rays_own() if process.name() in ("gcs_server", "raylet")]
    assert len(servers) == 2
    for process in servers:
        environment = process.environ()
        assert (environment["RAY_AUTH_MODE"], environment["RAY_USAGE_STATS_ENABLED"]) == ("token", "0")
    for process in rays_own():
        assert token not in " ".join([*process.environ().values(), *process.cmdline()])
    assert not list((folder / "home").rglob("auth_token"))


def test_nothing_of_it_runs_on_the_measured_core(listener: kit.Listener) -> None:
    open_(listener, "idle")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core: everything shares it")
    for process in rays_own():
        cores = {cpu for thread in process.threads() for cpu in os.sched_getaffinity(thread.id)}
        assert kit.last_cpu() not in cores, process


def test_a_killed_actor_ends_its_orders_and_the_next_ones_work(listener: kit.Listener, pool: RayPool, folder: Path) -> None:
    open_(listener, "shot", "idle")
    order = held_round(listener, folder, "shot")
    (pid,) = pool.host_pids().values()
    os.kill(pid, signal.SIGKILL)
    done = listener.done(order)
    assert done.error is not None
    assert done.error[0] == "LinkLost"
    assert not listener.runs(order)

    (folder / "idle").touch()  # its session died too: it is opened again by itself
    again = kit.measuring("idle", kit.task("idle", "a"))
    pool.submit(again)
    assert listener.done(again.id).error is None
    assert [run.status for run in listener.runs(again.id)] == ["complete"]
    assert len(listener.of(again.id, Opened)) == 1
    assert list(pool.host_pids().values()) != [pid]
    listener.seen += pool.events(0.2)
    assert len(listener.of(order, Done)) == 1


def test_an_actor_that_hangs_is_given_up(
    listener: kit.Listener, pool: RayPool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_(listener, "hung")
    order = held_round(listener, folder, "hung")
    monkeypatch.setattr(ray_pool, "POLL_LATE_S", 4.0)
    (pid,) = pool.host_pids().values()
    os.kill(pid, signal.SIGSTOP)
    done = listener.done(order)
    assert done.error is not None
    assert done.error[0] == "LinkLost"
    kit.until(lambda: not kit.running(pid), "the hung actor was not ended")
    monkeypatch.undo()
    open_(listener, "idle")


@pytest.mark.usefixtures("pool")
def test_a_process_that_still_starts_is_not_taken_for_one_that_hangs(folder: Path) -> None:
    """Beside others it may import for longer than a poll may be late."""
    pid = ray.remote(num_cpus=0)(_once_there).remote(str(folder / "begun"))
    seat = ray_pool._Seat(actor=None, pid=pid)
    assert ray_pool.START_LATE_S >= 4 * ray_pool.POLL_LATE_S
    asked_s = time.monotonic() - 2 * ray_pool.POLL_LATE_S
    assert not seat.is_late(asked_s, ray_pool.POLL_LATE_S)
    assert seat.is_late(time.monotonic() - 2 * ray_pool.START_LATE_S, ray_pool.POLL_LATE_S)
    (folder / "begun").touch()
    ray.wait([pid], timeout=kit.WAIT_S)
    assert seat.is_late(asked_s, ray_pool.POLL_LATE_S)
    assert not seat.is_late(time.monotonic(), ray_pool.POLL_LATE_S)


def _once_there(path: str) -> int:
    end_s = time.monotonic() + 200
    while not os.path.exists(path) and time.monotonic() < end_s:  # noqa: PTH110
        time.sleep(0.05)
    return os.getpid()


def test_a_killed_actor_takes_the_runner_on_the_device_with_it(
    listener: kit.Listener, pool: RayPool, folder: Path, tmp_path: Path
) -> None:
    good, path = kit.model(tmp_path, iteration_ns=2_000_000)
    models = {good.sha256: path}
    open_(listener, "machine")
    runner = json.loads((folder / "device.lock").read_text())["pid"]
    tasks = [kit.task("machine", str(n), good) for n in range(100)]
    order = kit.measuring("machine", *tasks, models=models, canary=good)
    pool.submit(order)

    def began() -> bool:  # an order whose files must be asked for goes on while events are
        listener.seen += pool.events(0.1)
        return bool(psutil.Process(runner).children())

    kit.until(began, "the round's process never came")
    family = [runner, *(child.pid for child in psutil.Process(runner).children(recursive=True))]
    (pid,) = pool.host_pids().values()
    os.kill(pid, signal.SIGKILL)
    assert (listener.done(order.id).error or ("",))[0] == "LinkLost"
    kit.until(lambda: not any(map(kit.running, family)), "the runner outlived its host")
    short = kit.measuring("machine", tasks[0], models=models, canary=good)
    pool.submit(short)
    assert listener.done(short.id).error is None
    assert [run.status for run in listener.runs(short.id)] == ["complete"]


def test_a_file_that_the_host_cannot_see_travels_once(
    listener: kit.Listener, pool: RayPool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, path = kit.model(tmp_path, iteration_ns=30_000)
    monkeypatch.chdir(tmp_path)  # the actor runs elsewhere: to it this relative path is nothing
    models = {good.sha256: path.relative_to(tmp_path)}
    open_(listener, "far-machine")
    for _ in range(2):
        order = kit.probing("far-machine", kit.task("far-machine", "a", good), models=models)
        pool.submit(order)
        assert listener.done(order.id).error is None
    received = folder / "agents" / "received" / good.sha256
    assert received.read_bytes() == path.read_bytes()
    assert received.stat().st_nlink == 1


def test_a_host_that_is_not_here_is_said(listener: kit.Listener) -> None:
    order = kit.opening("elsewhere")
    order = replace(order, device=replace(order.device, host="lab-2"))
    listener.pool.submit(order)
    done = listener.done(order.id)
    assert done.error is not None
    assert done.error[0] == "LinkLost"  # it may come back, and is tried again
    assert "lab-2" in done.error[1]


DRIVER = """
import sys, time
from pathlib import Path
from lutfarm.agent_pool.ray.pool import RayPool
from tests import pool_kit as kit

pool = RayPool.start(state_dir=Path(sys.argv[1]), measured_cpus=frozenset({kit.last_cpu()}))
listener = kit.Listener(pool)
order = kit.opening("machine")
pool.submit(order)
assert listener.done(order.id).error is None
if sys.argv[2] == "stay":
    print("open", flush=True)
    time.sleep(600)
import psutil, os
family = psutil.Process().children(recursive=True)
assert len(family) > 4
folder = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent
os.kill(pool.host_pids()["local"], 9)
pool.close()
kit.until(lambda: not any(process.is_running() for process in family), "something outlived the pool")
assert not psutil.Process().children()
assert not folder.exists()
assert "RAY_AUTH_MODE" not in os.environ
again = RayPool.start(state_dir=Path(sys.argv[1]))
listener = kit.Listener(again)
again.submit(order)
assert listener.done(order.id).error is None
again.close()
"""


def driver(folder: Path, what: str) -> subprocess.Popen[bytes]:
    """A process of its own: it ends Ray, and Ray's worker hooks must not touch this one."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder / "driver"), what],
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_closing_leaves_nothing_and_nothing_is_printed(folder: Path) -> None:
    with driver(folder, "close") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_a_killed_driver_takes_everything_with_it(folder: Path) -> None:
    with driver(folder, "stay") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(family) > 4
        names = {psutil.Process(pid).name() for pid in family}
        assert {"ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= names
        private = private_of(family)
        process.kill()
    # Meant to take 10 s; left alone, Ray's agents would try for a minute to report to the service that died with the driver.
    kit.until(lambda: not any(map(kit.running, family)), "some of Ray outlived its driver", timeout_s=30.0)
    kit.until(lambda: not private.exists(), "its folder stayed", timeout_s=30.0)


def test_what_a_driver_that_was_killed_with_its_watcher_left_is_swept_by_the_next(folder: Path) -> None:
    with driver(folder, "stay") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        family = psutil.Process(process.pid).children(recursive=True)
        private = private_of([child.pid for child in family])
        watchers = [child for child in family if "watch()" in " ".join(child.cmdline())]
        assert len(watchers) == 1
        watchers[0].kill()
        process.kill()
    sweep(private.parent)
    kit.until(lambda: not any(kit.running(child.pid) for child in family), "the agents were not swept", timeout_s=30.0)
    assert not private.exists()


def private_of(family: Sequence[int]) -> Path:
    """The folder of a Ray of ours, by the environment of its processes."""
    found = [psutil.Process(pid).environ().get("RAY_AUTH_TOKEN_PATH") for pid in family]
    return Path(next(path for path in found if path)).parent


@pytest.mark.parametrize("interrupted", ["the block", "its end"])
def test_an_interrupt_kills_what_an_end_would_wait_for(monkeypatch: pytest.MonkeyPatch, interrupted: str) -> None:
    monkeypatch.setattr(end_ray, "END_S", 500.0)  # waited for, it would outlast this test
    before, asked = descendants(), list[int]()

    def shutdown() -> None:
        asked.append(1)
        if interrupted == "its end" and len(asked) == 1:
            raise KeyboardInterrupt

    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(KeyboardInterrupt), Ending(shutdown, but=before):
        started.append(subprocess.Popen(["sleep", "1000"]))
        if interrupted == "the block":
            raise KeyboardInterrupt
    assert [kit.running(one.pid) for one in started] == [False]
    assert asked
    started[0].wait()  # Python's own record of it


def test_an_end_that_nobody_interrupts_waits(tmp_path: Path) -> None:
    with Ending(lambda: None, but=descendants()):
        started = subprocess.Popen(["sh", "-c", f"sleep 0.2; touch {tmp_path}/done"])
    assert (tmp_path / "done").exists()
    started.wait()  # Python's own record of it
