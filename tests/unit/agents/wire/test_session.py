"""The conversation with a runner, replayed: what is asked, what is believed, how it ends."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests import messages_kit as kit
from tests.messages_kit import LOADED, STARTED

from lutfarm_agents.device import Claim
from lutfarm_agents.fingerprint import fingerprint, runtime_version
from lutfarm_agents.testing import HELLO, ReplayChannel
from lutfarm_agents.transports.interface import Exit
from lutfarm_agents.wire.events import DiedEvent, EndedEvent, LoadedEvent, ProbedEvent, SliceEvent, StartedEvent
from lutfarm_agents.wire.session import RunnerSession
from lutfarm_jobs.errors import LinkLost, NotReady, ProtocolMismatch, ReplyTimeout
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.round import Slicing

DONE = {"type": "done", "cancelled": False}
BEAT = {"type": "beat"}
SLICE = kit.SLICE | {"id": 0, "pass": 0}
ENDED = kit.ENDED | {"rejected": {}, "discarded": {}}
DIED = kit.DIED | {"id": 0, "code": "OutOfMemory", "detail": "SIGKILL"}
PROBED = kit.PROBED | {"id": 0}
CLAIM = Claim("desk", "host 1 2", "anna@lab", "f" * 32, 7)


def session(*said: object, then: ReplyTimeout | None = None) -> tuple[RunnerSession, ReplayChannel]:
    channel = ReplayChannel([json.dumps(message) for message in said], then=then)
    return RunnerSession(channel), channel


def a_round(talk: RunnerSession) -> list[object]:
    return list(talk.round({"seed": 1}, known=2, passes=12, tries=3))


def test_the_lock_is_asked_for_by_name_and_waited_for() -> None:
    waiting = {"type": "waiting", "holder": "bert"}
    talk, channel = session({**waiting, "holder": "bert\x1b"}, BEAT, waiting, DONE)
    assert list(talk.lock(CLAIM, "/tmp/lock")) == ["bert", "bert"]
    assert json.loads(channel.sent[0]) == {
        "type": "lock",
        "path": "/tmp/lock",
        "owner": "host 1 2",
        "holder": "anna@lab",
        "farm": "f" * 32,
        "token": 7,
        "device": "desk",
    }
    assert not talk.cancelled


def test_a_cancelled_command_ends_quietly() -> None:
    talk, channel = session({"type": "done", "cancelled": True})
    assert list(talk.lock(CLAIM, "/tmp/lock")) == []
    assert talk.cancelled
    talk.cancel()
    assert json.loads(channel.sent[-1]) == {"type": "cancel"}


def test_a_round_yields_its_events_without_beats() -> None:
    talk, channel = session(BEAT, STARTED, LOADED, BEAT, SLICE, ENDED, DONE)
    assert [type(event) for event in a_round(talk)] == [StartedEvent, LoadedEvent, SliceEvent, EndedEvent]
    assert json.loads(channel.sent[0]) == {"type": "round", "seed": 1}


def test_what_is_too_long_for_the_gate_may_be_tried_again_in_a_pass() -> None:
    talk, _ = session(STARTED, LOADED, *[{**SLICE, "gated": False}] * 3, ENDED, DONE)
    assert [type(event) for event in a_round(talk)] == [StartedEvent, LoadedEvent, *[SliceEvent] * 3, EndedEvent]


def test_a_round_that_died_says_who_was_to_blame() -> None:
    talk, _ = session(STARTED, DIED, DONE)
    assert a_round(talk)[-1] == DiedEvent(0, "OutOfMemory", "SIGKILL", {})


def test_a_refused_command_raises_when_it_is_done() -> None:
    talk, _ = session({"type": "error", "code": "NotReady", "detail": "no onnxruntime"}, DONE)
    with pytest.raises(NotReady, match="no onnxruntime"):
        a_round(talk)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([{"type": "probed", "id": 0}], "probed"),
        ([{"type": "<b>bold</b>"}], "bold"),
        ([SLICE, SLICE], "2 times"),
        ([{**SLICE, "gated": False}] * 4, "4 times"),
        ([{**SLICE, "pass": 12}], "pass"),
        ([{"type": "done", "cancelled": "no"}], "cancelled"),
        ([{"type": "done"}], "cancelled"),
        ([{"type": 5}], "died"),
    ],
)
def test_a_round_refuses_what_is_not_due(said: list[object], named: str) -> None:
    talk, _ = session(*said, DONE)
    with pytest.raises(ProtocolMismatch, match=named):
        a_round(talk)


def test_probes_come_one_for_each_workload() -> None:
    talk, channel = session(PROBED, {**PROBED, "id": 1}, DONE)
    found = list(talk.probe([{"id": 0}, {"id": 1}], limits={"load_s": 9.0}, cpus=[0, 3]))
    assert [json.loads(line) for line in channel.sent] == [
        {"type": "probe", "workloads": [{"id": 0}, {"id": 1}], "limits": {"load_s": 9.0}, "cpus": [0, 3]}
    ]
    assert [event.id for event in found] == [0, 1]
    assert isinstance(found[0], ProbedEvent)


@pytest.mark.parametrize("said", [[PROBED, PROBED], [{**PROBED, "id": 2}], [SLICE]])
def test_a_probe_refuses_what_is_not_due(said: list[object]) -> None:
    talk, _ = session(*said, DONE)
    with pytest.raises(ProtocolMismatch):
        list(talk.probe([{}, {}], limits={}, cpus=[0]))


def test_a_template_that_died_is_told() -> None:
    talk, _ = session(PROBED, {**DIED, "id": None}, DONE)
    assert [type(event) for event in talk.probe([{}, {}], limits={}, cpus=[])] == [ProbedEvent, DiedEvent]


def test_a_silent_device_is_a_timeout_and_a_broken_link_is_lost() -> None:
    talk, _ = session(STARTED, then=ReplyTimeout("nothing for 10 s"))
    with pytest.raises(ReplyTimeout):
        a_round(talk)
    talk, _ = session(STARTED)
    with pytest.raises(LinkLost):
        a_round(talk)


def test_stopping_asks_the_runner_to_end_and_waits_a_moment_and_not_for_ever() -> None:
    waited_s: list[float] = []

    class Ending(ReplayChannel):
        def wait(self, timeout_s: float) -> Exit:
            waited_s.append(timeout_s)
            return super().wait(timeout_s)

    channel = Ending([])
    RunnerSession(channel).stop()
    assert [json.loads(line) for line in channel.sent] == [{"type": "stop"}]
    assert len(waited_s) == 1
    assert 0.0 < waited_s[0] <= 10.0


def test_stopping_is_no_error_when_the_runner_has_gone() -> None:
    class Gone(ReplayChannel):
        def send(self, line: str) -> None:
            raise LinkLost("gone")

    RunnerSession(Gone([])).stop()


def test_the_fingerprint_tells_apart_what_must_be_told_apart() -> None:
    backend, plan = Backend("onnxruntime"), Slicing()
    base = fingerprint(HELLO, backend, plan)
    others = [
        fingerprint(replace(HELLO, system="Linux 9"), backend, plan),
        fingerprint(replace(HELLO, governor="powersave"), backend, plan),
        fingerprint(replace(HELLO, runner_sha256="1" * 64), backend, plan),
        fingerprint(replace(HELLO, runtimes={"onnxruntime": "2.0"}), backend, plan),
        fingerprint(HELLO, Backend("tflite"), plan),
        fingerprint(HELLO, backend, replace(plan, passes=13)),
        fingerprint(HELLO, backend, replace(plan, warm_up_ns=1)),
        fingerprint(HELLO, backend, None),
    ]
    assert base == fingerprint(HELLO, backend, Slicing())
    assert all(other != base for other in others)


def test_the_fingerprint_holds_text_only_and_no_machine_id() -> None:
    found = fingerprint(HELLO, Backend("tflite"), Slicing())
    assert all(isinstance(value, str) for value in found.values())
    assert found["runtime"] == "ai-edge-litert 1.0"
    assert HELLO.machine_id not in found.values()


@pytest.mark.parametrize(
    ("runtimes", "runtime", "version"),
    [
        ({"tflite-runtime": "2.14.0"}, "tflite", "tflite-runtime 2.14.0"),
        ({"tflite-runtime": "2.14.0", "ai-edge-litert": "2.3.0"}, "tflite", "ai-edge-litert 2.3.0"),
        ({"numpy": "1.26"}, "tflite", ""),
        ({}, "onnxruntime", ""),
    ],
)
def test_the_runtime_is_the_one_that_the_runner_prefers(runtimes: dict[str, str], runtime: str, version: str) -> None:
    assert runtime_version(replace(HELLO, runtimes=runtimes), runtime) == version


class Silence(ReplayChannel):
    """Beats every so many seconds of its own time, up to a moment; `over` is set long after that."""

    def __init__(self, *, beat_s: float, until_s: float) -> None:
        super().__init__([])
        self.now_s, self.over = 1000.0, threading.Event()
        self._beat_s, self._until_s = beat_s, 1000.0 + until_s
        self._next_s = self.now_s + beat_s

    def receive(self, timeout_s: float) -> str:
        self.now_s += timeout_s
        if self.now_s > self._until_s + 60.0:
            self.over.set()
        if self._next_s <= self.now_s <= self._until_s:
            self._next_s += self._beat_s
            return json.dumps(BEAT)
        raise ReplyTimeout("nothing came")


def test_between_two_commands_a_silent_runner_is_lost_within_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Silence(beat_s=4.0, until_s=30.0)
    monkeypatch.setattr("lutfarm_agents.wire.session.time", SimpleNamespace(monotonic=lambda: channel.now_s))
    with pytest.raises(ReplyTimeout):
        RunnerSession(channel).attend(channel.over)
    assert 1028.0 + 9.0 <= channel.now_s < 1028.0 + 10.0


def test_a_runner_that_beats_is_attended_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Silence(beat_s=4.0, until_s=300.0)
    monkeypatch.setattr("lutfarm_agents.wire.session.time", SimpleNamespace(monotonic=lambda: channel.now_s))
    ended = threading.Event()
    receive = channel.receive

    def heard(timeout_s: float) -> str:
        if channel.now_s > 1200.0:
            ended.set()
        return receive(timeout_s)

    monkeypatch.setattr(channel, "receive", heard)
    RunnerSession(channel).attend(ended)
    assert channel.now_s > 1200.0
