"""A Ray of our own is started: in a folder of its own, off the measured cores, and ended with all that it left."""
# Ray's own annotations are partial: what init returns is unknown to a type checker.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false, reportPrivateUsage=false

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import ray
import ray._private.utils as ray_utils
import ray._private.worker as ray_worker
from ray._raylet import AuthenticationTokenLoader, Config

from lutfarm.agent_pool.ray import processes
from lutfarm.agent_pool.ray.end_ray import Ending
from lutfarm.agent_pool.ray.private_folder import private_folder
from lutfarm.agent_pool.ray.settings import LOOPBACK, OBJECT_STORE_BYTES, environment, settings
from lutfarm.agent_pool.ray.whereabouts import Whereabouts
from lutfarm_jobs.errors import NotReady


def start_ray(measured_cpus: frozenset[int], *, opened: ExitStack, node_ip: str = LOOPBACK) -> Callable[[], None]:
    """Start a Ray on this machine, which ends with `opened`; returns what keeps all of it off the measured cores once more.

    `node_ip`: the address of this machine under which the others of the Ray reach it.  Raises NotReady where it does not start.
    """
    folder = opened.enter_context(private_folder())
    before, threads = processes.descendants(), processes.own_threads()
    opened.enter_context(environment(settings(folder)))
    opened.enter_context(Ending(ray.shutdown, but=before))
    with processes.on_all(measured_cpus), _own_sigterm():
        _start(folder, node_ip)
    keep_away = partial(processes.keep_away, measured_cpus, but=threads)
    keep_away()
    return keep_away


def whereabouts() -> Whereabouts:
    """Of the Ray that `start_ray` has started, while it runs."""
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()
    return Whereabouts(str(ray.get_runtime_context().gcs_address), token)


@contextmanager
def _own_sigterm() -> Generator[None]:
    """SIGTERM goes on to do what it did.

    Ray's Python ends the process with 15 instead, its C++ prints a dump and ends it; there is no public way to say no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, theirs = signal.getsignal(signal.SIGTERM), ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = _leave
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = theirs
        if before is not None:  # else it was not Python's, and can't be put back
            signal.signal(signal.SIGTERM, before)


def _leave(_handler: object) -> None:
    """Change nothing."""


def _start(folder: Path, node_ip: str) -> None:
    """Raises NotReady where Ray does not start."""
    try:
        _init(folder, node_ip)
    except Exception as error:  # Ray raises the bare class too
        seen = " ".join(str(error).split())[:300] or type(error).__name__
        raise NotReady(
            f"Ray did not start on this machine: {seen}; run it again once the machine is less busy (memory, processes, "
            "space in /tmp), or measure without it: --executor local"
        ) from error


def _init(folder: Path, node_ip: str) -> None:
    # Ray reads its settings and its token once in a process, when it is imported.  This is how it reads them
    # again itself; there is no public way in 2.60.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    # The death of an actor would be printed on stdout, whatever log_to_driver says.
    ray_worker._worker_logs_enabled = False
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ray.init(
        address="local",  # an address file of another Ray must not be followed
        num_cpus=0,  # no idle workers: our actors ask for none
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        _node_ip_address=node_ip,
        _temp_dir=str(folder / "ray"),
    )
