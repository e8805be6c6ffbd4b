"""A conversation with the runner on one device, by docs/wire.md.

Everything that arrives is checked before it is believed; a device that says nothing for SILENCE_S is lost.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lutfarm_agents import sanitize
from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.transports.interface import Channel
from lutfarm_agents.wire import events, fields
from lutfarm_agents.wire.events import DiedEvent, EndedEvent, LoadedEvent, NodesEvent, ProbedEvent, SliceEvent, StartedEvent
from lutfarm_agents.wire.fields import Message
from lutfarm_jobs.errors import FarmError, LinkError, LinkLost, ProtocolMismatch, RegistrationStale, ReplyTimeout

SILENCE_S = 9.0  # the runner beats every 4 s; a loss is noticed within 10 s
HELLO_S = 60.0  # a board under load may take long to start Python
STOP_S = 2.0
ATTEND_S = 0.2  # how late an end of attending is noticed


RoundEvent = StartedEvent | LoadedEvent | SliceEvent | NodesEvent | EndedEvent | DiedEvent


class RunnerSession:
    """One runner, from hello to stop.  One command at a time; cancel may come from another thread."""

    def __init__(self, channel: Channel, *, silence_s: float = SILENCE_S) -> None:
        self._channel = channel
        self._silence_s = silence_s
        self.cancelled = False  # whether the last command was

    def hello(self) -> Hello:
        """The first line.  Raises LinkLost, ReplyTimeout, ProtocolMismatch."""
        return events.hello(self._read(HELLO_S))

    def lock(self, claim: Claim, path: str) -> Iterator[str]:
        """Take the device's lock; yields who has it while it waits.  Returns early only after cancel."""
        self._send(
            "lock", path=path, owner=claim.owner, holder=claim.holder, farm=claim.farm_id, token=claim.token, device=claim.device
        )
        for message in self._until_done():
            yield events.waiting(_expect(message, "waiting"))

    def probe(
        self, workloads: Sequence[Mapping[str, object]], *, limits: Mapping[str, object], cpus: Sequence[int]
    ) -> Iterator[ProbedEvent | DiedEvent]:
        """One event for each workload, by its position, unless cancelled or the template dies."""
        self._send("probe", workloads=workloads, limits=limits, cpus=cpus)
        seen: set[int] = set()
        for message in self._until_done():
            if message.get("type") == "died":
                yield events.died(message, len(workloads))
                continue
            event = events.probed(_expect(message, "probed"), len(workloads))
            if event.id in seen:
                raise ProtocolMismatch(f"the device probed workload {event.id} twice")
            seen.add(event.id)
            yield event

    def round(self, command: Mapping[str, object], *, known: int, passes: int, tries: int) -> Iterator[RoundEvent]:
        """The events of one round; the last is EndedEvent or DiedEvent, unless cancelled.

        A workload has one slice a pass; what is not gated up to `tries`, the slicing's `long_tries`.
        """
        self._send("round", **command)
        seen: Counter[tuple[int, int]] = Counter()
        for message in self._until_done():
            event = _round_event(message, known, passes)
            if isinstance(event, SliceEvent):
                place = (event.id, event.slice.pass_index)
                seen[place] += 1
                if seen[place] > (1 if event.slice.gated else tries):
                    raise ProtocolMismatch(f"the device sent workload {place[0]} {seen[place]} times in pass {place[1]}")
            yield event

    def attend(self, ended: threading.Event) -> None:
        """Hear that the runner lives, between two commands, until `ended`.  Raises LinkLost, ReplyTimeout."""
        heard_s = time.monotonic()
        while not ended.is_set():
            try:
                self._channel.receive(ATTEND_S)
                heard_s = time.monotonic()
            except ReplyTimeout:
                if time.monotonic() - heard_s > self._silence_s:
                    raise

    def cancel(self) -> None:
        """End the command that runs; its iterator ends soon.  Raises LinkLost."""
        self._send("cancel")

    def stop(self) -> None:
        """Ask the runner to end, and wait a moment; the channel's owner kills what stays."""
        try:
            self._send("stop")
            self._channel.wait(STOP_S)
        except (LinkLost, ReplyTimeout):
            return

    def _send(self, kind: str, **values: object) -> None:
        self._channel.send(json.dumps({"type": kind, **values}, separators=(",", ":"), allow_nan=False))

    def _read(self, timeout_s: float) -> Message:
        return fields.decode(self._channel.receive(timeout_s))

    def _until_done(self) -> Iterator[Message]:
        """Messages of the running command without beats.  Raises what an `error` says once it is done."""
        failure: FarmError | None = None
        self.cancelled = False
        while True:
            message = self._read(self._silence_s)
            kind = message.get("type")
            if kind == "done":
                self.cancelled = fields.boolean(message, "cancelled")
                if failure is not None:
                    raise failure
                return
            if kind == "error":
                failure = events.error(message)
            elif kind != "beat":
                yield message


def greeted(session: RunnerSession, channel: Channel, device: str, program: str) -> Hello:
    """Its hello, or an error that names the device and the program that was to be its Python.

    Raises RegistrationStale where that is no Python, or ended by itself; ReplyTimeout, LinkLost.
    """
    look = f"see what `{program} -V` says there, and register it again with a Python that starts"
    try:
        return session.hello()
    except ReplyTimeout as error:
        channel.kill()  # here, where the link may be fine, and not by the next session
        raise ReplyTimeout(f"{device}: {program} said nothing for {HELLO_S:g} s; {look}") from error
    except ProtocolMismatch as error:
        raise RegistrationStale(f"{device}: {program} did not start as lutfarm's runner: {error.detail}; {look}") from error
    except LinkLost as error:
        if _ended_by_itself(channel):
            raise RegistrationStale(f"{device}: {program} did not start as lutfarm's runner: {error.detail}; {look}") from error
        raise LinkLost(f"{device}: {error.detail}") from error


def _ended_by_itself(channel: Channel) -> bool:
    try:
        return channel.wait(STOP_S).code is not None
    except LinkError:  # it was the link that broke
        return False


def _round_event(message: Message, known: int, passes: int) -> RoundEvent:
    kind = message.get("type")
    if kind == "slice":
        return events.slice_(message, known, passes)
    if kind == "nodes":
        return events.nodes(message, known)
    if kind == "loaded":
        return events.loaded(message, known)
    if kind == "started":
        return events.started(message)
    if kind == "ended":
        return events.ended(message, known, passes)
    return events.died(_expect(message, "died"), known)


def _expect(message: Message, kind: str) -> Message:
    if message.get("type") != kind:
        seen = sanitize.clean(str(message.get("type")), 40)
        raise ProtocolMismatch(f"the device sent {seen!r} where {kind!r} was due")
    return message
