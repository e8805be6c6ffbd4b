"""Makes this machine a node of a Ray that runs elsewhere, for as long as this process wants it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from lutfarm.agent_pool.ray.end_ray import end
from lutfarm.agent_pool.ray.settings import OBJECT_STORE_BYTES, settings
from lutfarm.agent_pool.ray.watcher import watched
from lutfarm.agent_pool.ray.whereabouts import HOST_CPUS, HOST_STATE, Whereabouts
from lutfarm_agents.process_identity import Process, of, parse

ENDS_S = 2.0  # Ray would drain for 30 s: what measures here has been told to end by then, or can't be told


def resource(host: str) -> str:
    """The Ray resource that only the node of this host has."""
    return f"host:{host}"


@contextmanager
def ray_node(
    where: Whereabouts, *, host: str, node_ip: str, state_dir: Path, measured_cpus: Sequence[int]
) -> Generator[subprocess.Popen[bytes]]:
    """The process that keeps the node; it ends when the Ray does, and the node with this block."""
    with tempfile.TemporaryDirectory(prefix="lutfarm-") as folder:
        own = settings(Path(folder), token=where.token)
        cpus = {HOST_STATE: str(state_dir), HOST_CPUS: ",".join(map(str, measured_cpus))}
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *("--address", where.address, "--node-ip-address", node_ip, "--num-cpus", "0"),
            *("--resources", json.dumps({resource(host): 1}), "--object-store-memory", str(OBJECT_STORE_BYTES)),
        ]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(  # noqa: S603  no shell; argv is our own
            command, env=os.environ | own | cpus, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        ) as process:
            node = of(process.pid)
            try:
                with watched(__name__, str(node)):
                    yield process
            finally:
                end_node(node)


def watch() -> None:
    """Until whoever started this process is gone; then end the node that argv names."""
    sys.stdin.buffer.read()
    if (node := parse(sys.argv[1])) is not None:
        end_node(node)


def end_node(kept: Process) -> None:
    """End that very process, which keeps a node, and all that it has started; no other one that has its number by now."""
    if not kept.is_alive:
        return
    with contextlib.suppress(psutil.Error):
        node = psutil.Process(kept.pid)
        started = [node, *node.children(recursive=True)]
        folders = {folder for one in started if (folder := _session_folder(one)) is not None}
        node.terminate()
        end(started, patience_s=ENDS_S)
        for folder in folders:
            if not (folder / "owner").exists():  # the Ray's own machine keeps its folder itself
                shutil.rmtree(folder, ignore_errors=True)


def _session_folder(process: psutil.Process) -> Path | None:
    """Our folder that a node's raylet writes into: it has the name of that on the machine where the Ray was started."""
    with contextlib.suppress(psutil.Error):
        for argument in process.cmdline():
            _, is_one, path = argument.partition("--raylet_socket_name=")
            if is_one and (parts := Path(path).parts)[:2] == ("/", "tmp") and parts[2].startswith("lutfarm-"):
                return Path(*parts[:3])
    return None


def has_joined(process: subprocess.Popen[bytes]) -> bool:
    """Whether the node's raylet runs by now."""
    with contextlib.suppress(psutil.Error):
        return any(child.name() == "raylet" for child in psutil.Process(process.pid).children(recursive=True))
    return False
