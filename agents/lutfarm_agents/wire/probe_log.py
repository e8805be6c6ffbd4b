"""From what a runner says of its throwaway children to probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from lutfarm_agents.wire.events import DiedEvent, ProbedEvent
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import NotReady, ProtocolMismatch
from lutfarm_jobs.round import Task
from lutfarm_jobs.run import Failure, Probe

Event = ProbedEvent | DiedEvent


def probed(
    session: RunnerSession,
    workloads: Sequence[Mapping[str, object]],
    cancelled: threading.Event,
    *,
    limits: Mapping[str, object],
    cpus: Sequence[int],
    device: str,
) -> Iterator[tuple[int, Event]]:
    """By position, one event for each workload, unless cancelled; a template that died is started again for what is left."""
    left = list(range(len(workloads)))
    while left and not cancelled.is_set():
        asked = list(left)
        again = [{**workloads[position], "id": index} for index, position in enumerate(asked)]
        for event in session.probe(again, limits=limits, cpus=cpus):
            if event.id is None:
                raise NotReady(f"{device}: the runtime can't be started: {event.code}: {event.detail}")
            if asked[event.id] in left:
                left.remove(asked[event.id])
                yield asked[event.id], event
        if session.cancelled:
            return
        if left == asked:
            raise ProtocolMismatch(f"{device} ended a probe without an answer")


def probe_of(task: Task, event: Event, fingerprint: Mapping[str, str]) -> Probe:
    """What a child that ended said, or how it died."""
    found = event if isinstance(event, ProbedEvent) else ProbedEvent(event.id or 0)
    return Probe(
        key=task.measurement.key,
        device=task.measurement.device,
        fingerprint=fingerprint,
        probed_s=time.time(),
        failure=Failure(event.code, event.detail) if event.code else None,
        load_ns=found.load_ns,
        first_inference_ns=found.first_inference_ns,
        iteration_ns=found.iteration_ns,
        peak_memory_bytes=found.peak_memory_bytes,
        model_memory_bytes=found.model_memory_bytes,
        agreement=found.agreement,
        call_floor_ns=found.floor_ns,
        notes=found.notes,
    )
