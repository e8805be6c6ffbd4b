"""Probes of one batch: a template that died is started again for what is left, and what came keeps its position."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import pytest

from lutfarm_agents.wire.events import DiedEvent, ProbedEvent
from lutfarm_agents.wire.probe_log import Event, probe_of, probed
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import NotReady, ProtocolMismatch
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Artifact, Task
from lutfarm_jobs.run import Failure, Probe

WORKLOADS = [{"id": 0, "key": "a"}, {"id": 1, "key": "b"}, {"id": 2, "key": "c"}]


class Templates:
    """A session whose templates say these events, one list for each that is started; what each was asked is kept."""

    def __init__(self, *said: Sequence[Event], cancelled: bool = False) -> None:
        self.asked: list[list[Mapping[str, object]]] = []
        self.cancelled = cancelled
        self._said = list(said)

    def probe(
        self, workloads: Sequence[Mapping[str, object]], *, limits: Mapping[str, object], cpus: Sequence[int]
    ) -> Iterator[Event]:
        assert (limits, cpus) == ({"load_s": 9.0}, [3])
        self.asked.append(list(workloads))
        yield from self._said.pop(0)


TASK = Task(Measurement(Workload("operator", "a"), "desk", Backend("onnxruntime")), Artifact("a" * 64, 10, ".onnx"))


def events_of(templates: Templates, cancelled: threading.Event | None = None) -> list[tuple[int, Event]]:
    session = cast("RunnerSession", templates)
    over = cancelled or threading.Event()
    return list(probed(session, WORKLOADS, over, limits={"load_s": 9.0}, cpus=[3], device="desk"))


def died(at: int | None) -> DiedEvent:
    return DiedEvent(at, "OutOfMemory", "SIGKILL", {})


def test_all_that_were_asked_come_by_their_positions_in_whatever_order() -> None:
    templates = Templates([ProbedEvent(2), ProbedEvent(0), ProbedEvent(1)])
    assert events_of(templates) == [(2, ProbedEvent(2)), (0, ProbedEvent(0)), (1, ProbedEvent(1))]
    assert templates.asked == [WORKLOADS]


def test_a_template_that_died_is_started_again_for_what_is_left_counted_anew() -> None:
    templates = Templates([ProbedEvent(1), died(0)], [ProbedEvent(0)])
    assert events_of(templates) == [(1, ProbedEvent(1)), (0, died(0)), (2, ProbedEvent(0))]
    assert templates.asked == [WORKLOADS, [{"id": 0, "key": "c"}]]


def test_a_template_that_died_of_no_workload_is_the_runtimes_fault() -> None:
    with pytest.raises(NotReady, match="desk: the runtime can't be started: OutOfMemory: SIGKILL"):
        events_of(Templates([ProbedEvent(0), died(None)]))


def test_a_template_that_says_nothing_is_not_started_for_ever() -> None:
    with pytest.raises(ProtocolMismatch, match="desk ended a probe without an answer"):
        events_of(Templates([ProbedEvent(0)], []))


def test_who_is_cancelled_is_asked_for_no_more() -> None:
    over = threading.Event()
    over.set()
    assert events_of(Templates(), over) == []
    assert events_of(Templates([ProbedEvent(0)], cancelled=True)) == [(0, ProbedEvent(0))]


def test_a_probe_says_all_that_the_child_found() -> None:
    event = ProbedEvent(0, "", "", 1, 2, 3, 4, 5, 0.5, 6, {"values": "random"})
    found = probe_of(TASK, event, {"os": "Linux"})
    told = Probe(TASK.measurement.key, "desk", {"os": "Linux"}, found.probed_s, None, 1, 2, 3, 4, 5, 0.5, 6, {"values": "random"})
    assert found == told


def test_a_child_that_died_is_a_failure_without_figures() -> None:
    found = probe_of(TASK, died(0), {})
    assert found == Probe(TASK.measurement.key, "desk", {}, found.probed_s, Failure("OutOfMemory", "SIGKILL"))
