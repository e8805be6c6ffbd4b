"""The supervisor: holds the lock, starts children, watches their deadlines, forwards their lines."""

from __future__ import annotations

import select
import time
import traceback
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional, Sequence, Tuple

from lutfarm_runner import commands
from lutfarm_runner.child_process import Child
from lutfarm_runner.device_lock import DeviceLock
from lutfarm_runner.hello import hello
from lutfarm_runner.machine.limits import available_cpus, others, pin
from lutfarm_runner.wire import Lines, Refused, Writer, claim_stdout, decode, write_all

BEAT_S = 4.0
LOCK_POLL_S = 0.5
PROBE_GRACE_S = 5.0  # the template ends a late child itself; it has this much longer
CHECK_AGAIN_S = 0.05  # a deadline is read again before anything is killed for it
QUEUE = 64  # commands that may wait for the one that runs


class Stop(Exception):
    """The host said stop, or went away."""


class Cancelled(Exception):
    """The host cancelled the command that runs."""


class Supervisor:
    """One session with a host."""

    def __init__(self, wire: int) -> None:
        self._writer = Writer(wire)
        self._stdin = Lines(0)
        self._queue: Deque[Dict[str, Any]] = deque()
        self._said_s = time.monotonic()
        self._lock: Optional[DeviceLock] = None
        self._child: Optional[Child] = None
        self._busy = False
        self._cpus = available_cpus()

    def run(self, packages: Sequence[str]) -> None:
        """Until the host says stop or its end of the pipe closes."""
        self._send("hello", **hello(packages))
        try:
            while True:
                while not self._queue:
                    self._attend([], BEAT_S)
                self._obey(self._queue.popleft())
        except (Stop, BrokenPipeError):
            pass
        finally:
            self._end_child()
            if self._lock is not None:
                self._lock.close()

    def _obey(self, command: Dict[str, Any]) -> None:
        cancelled = False
        self._busy = True
        try:
            self._command(command)
        except Cancelled:
            cancelled = True
        except Refused as refused:
            self._send("error", code=refused.code, detail=refused.detail[:8000])
        except (Stop, BrokenPipeError):
            raise
        except Exception:  # noqa: BLE001  whatever it is, it is a bug of the runner, and is said
            self._send("error", code="RunnerBug", detail=traceback.format_exc()[-8000:])
        finally:
            self._busy = False
            self._end_child()
        self._send("done", cancelled=cancelled)

    def _command(self, command: Dict[str, Any]) -> None:
        known: Dict[str, Callable[[Dict[str, Any]], None]] = {"lock": self._take_lock, "probe": self._probe, "round": self._round}
        if command["type"] not in known:
            raise Refused("ProtocolMismatch", f"unknown command {command['type']!r:.80}")
        known[command["type"]](command)

    def _take_lock(self, command: Dict[str, Any]) -> None:
        wanted = commands.read_lock(command)
        if self._lock is not None:
            raise Refused("SpecError", f"this runner already holds {self._lock.wanted.path}")
        lock: Optional[DeviceLock] = DeviceLock(wanted)
        told_s = float("-inf")
        try:
            while (found := lock.attempt()) is not None:
                if time.monotonic() - told_s >= BEAT_S - LOCK_POLL_S:
                    self._send("waiting", holder=found.holder)
                    told_s = time.monotonic()
                self._attend([], LOCK_POLL_S)
            self._lock, lock = lock, None
        finally:
            if lock is not None:
                lock.close()

    def _probe(self, command: Dict[str, Any]) -> None:
        ending = self._watch("probe", command, commands.read_probe(command).cpus, grace_s=PROBE_GRACE_S)
        if ending is not None:
            # Workloads run in children of the template: what ends the template itself is a broken runtime.
            raise Refused("NotReady", f"the probe, which imports the runtimes, {ending[1]}")

    def _round(self, command: Dict[str, Any]) -> None:
        order = commands.read_round(command)
        ending = self._watch("round", command, order.cpus[: order.canary.threads], grace_s=0.0)
        if ending is not None and self._child is not None:
            page = self._child.page
            self._send("died", id=page.read().id, code=ending[0], detail=ending[1], spent_ns=page.spent_ns())

    def _watch(self, role: str, command: Dict[str, Any], cpus: Sequence[int], *, grace_s: float) -> Optional[Tuple[str, str]]:
        """Run a child to its end and forward its lines.  Error code and detail where it ended badly."""
        pin(others(cpus) or self._cpus)
        child = self._child = Child(role, command)
        try:
            while child.running:
                self._attend(child.open, child.patience_s(grace_s))
                for line in child.take():
                    self._forward(line)
                if child.overdue(grace_s):
                    time.sleep(CHECK_AGAIN_S)
                    if child.overdue(grace_s):
                        child.end_late()
        finally:
            pin(self._cpus)
        return child.ending()

    def _forward(self, line: bytes) -> None:
        write_all(self._writer.descriptor, line + b"\n")
        self._said_s = time.monotonic()

    def _send(self, kind: str, **fields: object) -> None:
        self._writer.send(kind, **fields)
        self._said_s = time.monotonic()

    def _attend(self, descriptors: Sequence[int], timeout_s: float) -> None:
        """Sleep until the host or one of the descriptors has something, a beat is due, or time is up."""
        beat_s = self._said_s + BEAT_S - time.monotonic()
        if beat_s <= 0:
            self._send("beat")
            beat_s = BEAT_S
        ready, _, _ = select.select([0, *descriptors], [], [], max(0.0, min(timeout_s, beat_s)))
        if 0 in ready:
            self._listen()

    def _listen(self) -> None:
        try:
            lines = self._stdin.read()
        except Refused as refused:
            self._writer.error(refused)
            raise Stop from refused
        if self._stdin.ended:
            raise Stop
        cancels = [self._take(line) for line in lines]
        if any(cancels):
            raise Cancelled

    def _take(self, line: bytes) -> bool:
        """Queue a command.  True where it cancels the one that runs."""
        try:
            command = decode(line)
        except Refused as refused:
            self._writer.error(refused)
            return False
        if command["type"] == "stop":
            raise Stop
        if command["type"] == "cancel":
            if not self._busy and self._queue:
                self._queue.popleft()
                self._send("done", cancelled=True)
            return self._busy
        if len(self._queue) < QUEUE:
            self._queue.append(command)
        else:
            self._writer.error(Refused("SpecError", f"{QUEUE} commands wait already"))
        return False

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def supervise(packages: Sequence[str]) -> None:
    """Serve one host until it goes.  `packages`: see hello."""
    Supervisor(claim_stdout()).run(packages)
