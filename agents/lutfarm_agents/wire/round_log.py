"""From the events of one round to its runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_agents.conditions.surroundings import Moment
from lutfarm_agents.wire.events import DiedEvent, EndedEvent, LoadedEvent, NodesEvent, SliceEvent, StartedEvent
from lutfarm_agents.wire.session import RoundEvent
from lutfarm_jobs.errors import Unstable
from lutfarm_jobs.round import Round
from lutfarm_jobs.run import Failure, NodeTime, Run, Slice


@dataclass(slots=True)
class RoundLog:
    """What has arrived of one round so far."""

    round: Round
    fingerprints: Sequence[Mapping[str, str]]  # by position in the round
    started_s: float  # Unix time, the host's
    slices: dict[int, list[Slice]] = field(default_factory=dict[int, list[Slice]])
    loaded: dict[int, LoadedEvent] = field(default_factory=dict[int, LoadedEvent])
    nodes: dict[int, tuple[NodeTime, ...]] = field(default_factory=dict[int, tuple[NodeTime, ...]])
    started: StartedEvent | None = None
    ending: EndedEvent | DiedEvent | None = None
    arrived: int = 0
    throttled: bool = False
    before: Moment = Moment()
    after: Moment = Moment()

    @property
    def total(self) -> int:
        """How many visits a complete round has."""
        return len(self.round.tasks) * self.round.slicing.passes

    def take(self, event: RoundEvent) -> None:
        """One more event."""
        if isinstance(event, SliceEvent):
            mine = self.slices.setdefault(event.id, [])
            self.arrived += not mine or mine[-1].pass_index != event.slice.pass_index  # a swept visit may have several
            mine.append(event.slice)
        elif isinstance(event, LoadedEvent):
            self.loaded[event.id] = event
        elif isinstance(event, NodesEvent):
            self.nodes[event.id] = event.nodes
        elif isinstance(event, StartedEvent):
            self.started = event
        else:
            self.ending = event

    def runs(self, ended_s: float) -> Sequence[Run]:
        """One for each measurement, once the round ended or died; until then of those that have slices."""
        positions = range(len(self.round.tasks)) if self.ending is not None else sorted(self.slices)
        return [self._run(position, ended_s) for position in positions]

    def spent_ns(self) -> Mapping[str, int]:
        """Where the process's time went, as far as it said."""
        return self.ending.spent_ns if self.ending is not None else {}

    def _run(self, position: int, ended_s: float) -> Run:
        failure = self._failure(position)
        if failure is None and self.throttled and self.round.strict:
            failure = Failure(
                Unstable.__name__,
                "the device throttled in the round, and the job's conditions are strict; let it cool, or drop strict",
            )
        complete = isinstance(self.ending, EndedEvent)
        loaded = self.loaded.get(position)
        started, ended = self.started, self.ending if isinstance(self.ending, EndedEvent) else None
        measurement = self.round.tasks[position].measurement
        return Run(
            id=uuid.uuid4().hex,
            key=measurement.key,
            device=measurement.device,
            round_id=self.round.id,
            round_index=self.round.index,
            status="failed" if failure else "complete" if complete else "truncated",
            started_s=self.started_s,
            ended_s=ended_s,
            fingerprint=self.fingerprints[position],
            slices=tuple(self.slices.get(position, ())),
            failure=failure,
            load_ns=loaded.load_ns if loaded else None,
            first_inference_ns=loaded.first_inference_ns if loaded else None,
            peak_memory_bytes=ended.peak_memory_bytes if ended else None,
            canary_reference_ns=started.canary_reference_ns if started else None,
            reference_provisional=self.round.canary_provisional or not started or started.reference_provisional,
            clock_step_ns=started.clock_step_ns if started else None,
            slices_rejected=ended.rejected.get(position, 0) if ended else 0,
            slices_discarded=ended.discarded.get(position, 0) if ended else 0,
            before=self.before.beside(started.environment if started else None),
            after=self.after.beside(ended.environment if ended else None),
            throttled=self.throttled,
            nodes=self.nodes.get(position, ()),
        )

    def _failure(self, position: int) -> Failure | None:
        if isinstance(self.ending, DiedEvent) and self.ending.id == position:
            return Failure(self.ending.code, self.ending.detail)
        return None

    @property
    def unblamed(self) -> str:
        """Why the process died where no workload is to blame; empty where one is, or where it lived."""
        if isinstance(self.ending, DiedEvent) and self.ending.id is None:
            return f"{self.ending.code}: {self.ending.detail}"
        return ""
