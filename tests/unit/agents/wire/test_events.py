"""Every field of every message from a device is checked, and a wrong one is named."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.messages_kit import DIED, ENDED, ENVIRONMENT, HELLO, LOADED, PROBED, SLICE, STARTED

from lutfarm_agents.wire import events
from lutfarm_agents.wire.events import DiedEvent, EndedEvent, LoadedEvent, ProbedEvent, StartedEvent
from lutfarm_jobs.errors import NotReady, ProtocolMismatch, RunnerBug
from lutfarm_jobs.run import Environment
from lutfarm_runner.device_lock import Content, parse

LOCK = {"owner": "o", "holder": "h", "farm": "f", "token": 1, "device": "u", "pid": 2, "pid_start": 1, "since_s": 0.0}

READERS = {
    "hello": (HELLO, events.hello),
    "probed": (PROBED, lambda m: events.probed(m, 3)),
    "started": (STARTED, events.started),
    "loaded": (LOADED, lambda m: events.loaded(m, 3)),
    "slice": (SLICE, lambda m: events.slice_(m, 3, 12)),
    "ended": (ENDED, lambda m: events.ended(m, 3, 12)),
    "died": (DIED, lambda m: events.died(m, 3)),
}


def test_a_good_hello_arrives_whole() -> None:
    hello = events.hello(HELLO)
    assert (hello.cpus, hello.machine, hello.governor) == ((0, 1), "x86_64", "")
    assert hello.runtimes == {"onnxruntime": "1.32.0"}


def test_a_good_slice_arrives_whole() -> None:
    event = events.slice_(SLICE, 3, 12)
    assert (event.id, event.slice.pass_index, event.slice.samples_ns) == (2, 11, (100, 101))
    assert (event.slice.quiet, event.slice.run_delay_ns) == (True, 7)
    assert events.slice_({**SLICE, "run_delay_ns": None}, 3, 12).slice.run_delay_ns is None


def test_a_good_ending_arrives_whole() -> None:
    assert events.ended(ENDED, 3, 12) == EndedEvent(
        Environment(
            1.5,
            None,
            2_000_000,
            41.5,
            0.1,
            1 << 30,
            80.0,
            True,
            1 << 34,
            busy_s=50.5,
            own_s=0.5,
            cores=2,
            virtual=False,
            temperature_zone="cpu-thermal",
        ),
        10,
        {2: 3},
        {2: 1},
        {"import": 1, "slices": 2},
    )
    assert events.died(DIED, 3) == DiedEvent(None, "WorkloadFailed", "SIGSEGV", {})


BOUNDS = [
    *(("hello", name, 0, 10**13) for name in ("clock_resolution_ns", "timer_pair_ns")),
    ("hello", "word_bits", 8, 128),
    ("hello", "memory_bytes", 0, 1 << 50),
    *(("probed", name, 0, 10**13) for name in ("load_ns", "first_inference_ns", "floor_ns")),
    ("probed", "iteration_ns", 1, 10**13),
    *(("probed", name, 0, 1 << 50) for name in ("peak_memory_bytes", "model_memory_bytes")),
    ("probed", "id", 0, 2),
    ("started", "import_ns", 0, 10**13),
    ("started", "canary_reference_ns", 1, 10**13),
    ("started", "clock_step_ns", 1, 10**13),
    ("loaded", "id", 0, 2),
    ("loaded", "load_ns", 0, 10**13),
    ("loaded", "first_inference_ns", 0, 10**13),
    *(("slice", name, 0, 10**13) for name in ("waited_ns", "wall_ns", "cpu_ns", "run_delay_ns")),
    *(("slice", name, 1, 10**13) for name in ("canary_before_ns", "canary_after_ns")),
    ("slice", "id", 0, 2),
    ("slice", "pass", 0, 11),
    ("slice", "involuntary_switches", 0, 10**9),
    ("slice", "block", 1, 100_000),
    ("ended", "peak_memory_bytes", 0, 1 << 50),
    ("died", "id", 0, 2),
]


@pytest.mark.parametrize(("kind", "field", "least", "most"), BOUNDS)
def test_a_figure_may_be_at_its_bounds_and_not_beyond(kind: str, field: str, least: int, most: int) -> None:
    content, read = READERS[kind]
    for value in (least, most):
        read({**content, field: value})
    for value in (least - 1, most + 1):
        with pytest.raises(ProtocolMismatch, match=field):
            read({**content, field: value})


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("time_s", 0, 10**11),
        ("frequency_khz", 0, 10**9),
        ("temperature_c", -100, 300),
        ("load_1min", 0, 10**6),
        ("battery_percent", 0, 100),
        ("busy_s", 0, 10**12),
        ("own_s", 0, 10**12),
        ("cores", 1, 65_536),
        ("memory_available_bytes", 0, 1 << 50),
        ("free_bytes", 0, 1 << 50),
    ],
)
def test_what_a_machine_says_of_itself_may_be_at_its_bounds_and_not_beyond(field: str, least: int, most: int) -> None:
    for value in (least, most):
        events.environment({"environment": {**ENVIRONMENT, field: value}})
    for value in (least - 1, most + 1):
        with pytest.raises(ProtocolMismatch, match=field):
            events.environment({"environment": {**ENVIRONMENT, field: value}})


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("python", 200),
        ("machine", 100),
        ("system", 300),
        ("cpu_model", 300),
        ("machine_id", 100),
        ("runner_sha256", 64),
        ("abi", 100),
        ("libc", 100),
        ("governor", 100),
    ],
)
def test_a_word_may_be_as_long_as_its_field_and_not_longer(field: str, limit: int) -> None:
    assert getattr(events.hello({**HELLO, field: "x" * limit}), field) == "x" * limit
    with pytest.raises(ProtocolMismatch, match=field):
        events.hello({**HELLO, field: "x" * (limit + 1)})


def test_who_has_the_device_may_be_named_as_a_runner_keeps_it_and_not_longer() -> None:
    assert events.waiting({"holder": "x" * 500}) == "x" * 500
    assert parse(json.dumps({**LOCK, "holder": "x" * 500}).encode()).holder == "x" * 500
    with pytest.raises(ProtocolMismatch, match="holder"):
        events.waiting({"holder": "x" * 501})
    assert parse(json.dumps({**LOCK, "holder": "x" * 501}).encode()) == Content()


@pytest.mark.parametrize(("field", "limit"), [("name", 300), ("operator", 100)])
def test_a_node_may_be_named_as_long_as_its_field_and_not_longer(field: str, limit: int) -> None:
    node = {"name": "n", "operator": "Conv", "count": 1, "lower_mean_ns": 5}
    (found,) = events.nodes({"id": 0, "nodes": [{**node, field: "x" * limit}]}, 1).nodes
    assert getattr(found, field) == "x" * limit
    with pytest.raises(ProtocolMismatch, match=field):
        events.nodes({"id": 0, "nodes": [{**node, field: "x" * (limit + 1)}]}, 1)


def test_a_failure_is_told_at_some_length_and_kept_at_less() -> None:
    assert events.died({**DIED, "detail": "x" * 100_000}, 3).detail == "x" * 4000
    with pytest.raises(ProtocolMismatch, match="detail"):
        events.died({**DIED, "detail": "x" * 100_001}, 3)


def test_what_was_noted_of_a_model_arrives_cut_and_under_known_names_only() -> None:
    assert events.probed({**PROBED, "notes": {"stateful": "x" * 10_000, "nan_outputs": "y"}}, 3).notes == {
        "stateful": "x" * 1000,
        "nan_outputs": "y",
    }
    for notes in ({"stateful": "x" * 10_001}, {"stateful": 7}, {"lunch": "late"}):
        with pytest.raises(ProtocolMismatch, match="notes"):
            events.probed({**PROBED, "notes": notes}, 3)


def test_a_good_probe_and_a_good_start_arrive_whole() -> None:
    assert events.probed({**PROBED, "floor_ns": 3}, 3) == ProbedEvent(
        1, load_ns=5, first_inference_ns=6, iteration_ns=7, peak_memory_bytes=8, agreement=1e-6, floor_ns=3
    )
    assert events.started(STARTED) == StartedEvent(events.environment(STARTED), 9, 70_000, True, 1)
    assert events.loaded(LOADED, 3) == LoadedEvent(0, 3, 4)
    slice_ = events.slice_(SLICE, 3, 12).slice
    assert (slice_.canary_before_ns, slice_.canary_after_ns, slice_.gated, slice_.involuntary_switches) == (70, 71, True, 0)
    assert (slice_.waited_ns, slice_.wall_ns, slice_.cpu_ns, slice_.block) == (0, 201, 201, 1)
    hello = events.hello(HELLO)
    assert (hello.python, hello.system, hello.cpu_model, hello.machine_id) == ("CPython 3.11.7", "Linux 6.1", "a cpu", "m")
    assert (hello.memory_bytes, hello.clock_resolution_ns, hello.timer_pair_ns) == (1 << 33, 1, 75)
    assert (hello.cpus_off, hello.word_bits, hello.abi, hello.libc) == ((5,), 64, "x86_64-linux-gnu", "glibc 2.36")
    assert (hello.runner_sha256, hello.environment) == ("ab" * 32, events.environment(HELLO))


def test_a_probe_that_failed_needs_no_figures() -> None:
    event = events.probed({"id": 0, "code": "OutOfMemory", "detail": "40 GB"}, 1)
    assert (event.code, event.detail, event.load_ns) == ("OutOfMemory", "40 GB", None)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("hello", "protocol", True),
        ("hello", "protocol", 2),
        ("hello", "python", "x" * 201),
        ("hello", "cpus", [-1]),
        ("hello", "cpus", [0] * 4097),
        ("hello", "cpus", [1.0]),
        ("hello", "runtimes", {"onnxruntime": 1}),
        ("hello", "runtimes", {str(n): "1" for n in range(65)}),
        ("hello", "runtimes", ["onnxruntime"]),
        ("hello", "governor", 7),
        ("probed", "id", 3),
        ("probed", "id", -1),
        ("probed", "id", None),
        ("probed", "iteration_ns", 0),
        ("probed", "iteration_ns", 10**13 + 1),
        ("probed", "load_ns", True),
        ("probed", "load_ns", "5"),
        ("probed", "agreement", -1e-9),
        ("probed", "agreement", math.inf),
        ("probed", "agreement", math.nan),
        ("probed", "peak_memory_bytes", -1),
        ("probed", "code", "StoreError"),
        ("started", "canary_reference_ns", 0),
        ("started", "canary_reference_ns", None),
        ("started", "reference_provisional", 1),
        ("started", "environment", None),
        ("loaded", "id", 3),
        ("loaded", "first_inference_ns", -1),
        ("slice", "id", 2.0),
        ("slice", "pass", 12),
        ("slice", "run_delay_ns", -1),
        ("slice", "run_delay_ns", 1.5),
        ("slice", "samples_ns", []),
        ("slice", "samples_ns", [0]),
        ("slice", "samples_ns", [-5]),
        ("slice", "samples_ns", [10**13]),
        ("slice", "samples_ns", [True]),
        ("slice", "samples_ns", [math.nan]),
        ("slice", "samples_ns", ["1"]),
        ("slice", "samples_ns", [1] * 100_001),
        ("slice", "samples_ns", {"0": 1}),
        ("slice", "canary_before_ns", 0),
        ("slice", "block", 0),
        ("slice", "block", None),
        ("started", "clock_step_ns", 0),
        ("slice", "quiet", 1),
        ("slice", "quiet", None),
        ("slice", "involuntary_switches", -1),
        ("ended", "rejected", {"3": 1}),
        ("ended", "rejected", {"-1": 1}),
        ("ended", "rejected", {"²": 1}),
        ("ended", "rejected", {"0": 13}),
        ("ended", "spent_ns", {"lunch": 1}),
        ("ended", "spent_ns", {"slices": -1}),
        ("died", "id", 3),
        ("died", "code", "RunnerBug"),
        ("died", "code", "x" * 81),
        ("died", "detail", None),
    ],
)
def test_a_wrong_field_is_refused_by_name(kind: str, field: str, value: object) -> None:
    message, read = READERS[kind]
    with pytest.raises(ProtocolMismatch, match=field):
        read({**message, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("battery_percent", -1),
        ("battery_percent", 101),
        ("battery_percent", math.nan),
        ("battery_percent", True),
        ("battery_charging", 1),
        ("battery_charging", "yes"),
        ("free_bytes", -1),
        ("free_bytes", 1.5),
        ("free_bytes", (1 << 50) + 1),
        ("busy_s", -1),
        ("busy_s", math.inf),
        ("own_s", "1"),
        ("cores", 0),
        ("cores", 1.5),
        ("virtual", 0),
        ("virtual", "no"),
    ],
)
def test_batteries_disks_and_loads_that_can_not_be_are_refused(field: str, value: object) -> None:
    with pytest.raises(ProtocolMismatch, match=field):
        events.hello({**HELLO, "environment": {**ENVIRONMENT, field: value}})


def test_what_a_device_can_not_read_is_none() -> None:
    assert events.environment({"environment": dict.fromkeys(ENVIRONMENT) | {"time_s": 1}}) == Environment(1.0)


@pytest.mark.parametrize("field", sorted(ENVIRONMENT))
def test_a_wrong_environment_is_refused_by_name(field: str) -> None:
    with pytest.raises(ProtocolMismatch, match=field):
        events.environment({"environment": {**ENVIRONMENT, field: [1]}})


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (kind, field)
        for kind, (message, _) in READERS.items()
        for field in message
        if field not in {"type", "governor", "executable", "floor_ns", "run_delay_ns", "id"}
        and message[field] is not None
        and field not in {"agreement", "peak_memory_bytes", "memory_bytes"}
    ],
)
def test_a_missing_field_is_refused_by_name(kind: str, missing: str) -> None:
    message, read = READERS[kind]
    with pytest.raises(ProtocolMismatch, match=missing):
        read({name: value for name, value in message.items() if name != missing})


def test_control_characters_are_taken_out() -> None:
    hello = events.hello({**HELLO, "cpu_model": "evil\x1b[2J\r\ncpu\x00\u202e"})
    assert hello.cpu_model == "evil [2J  cpu"


def test_an_error_says_what_was_seen_in_few_characters() -> None:
    with pytest.raises(ProtocolMismatch) as caught:
        events.hello({**HELLO, "python": "\x1b" * 5000})
    assert len(caught.value.detail) < 250
    assert "\x1b" not in caught.value.detail


def test_a_device_may_say_only_what_is_its_to_say() -> None:
    assert isinstance(events.error({"code": "NotReady", "detail": "hot"}), NotReady)
    with pytest.raises(ProtocolMismatch, match="code"):
        events.error({"code": "StoreError", "detail": "stop everything"})


def test_a_bug_of_the_runner_in_a_probe_is_no_result() -> None:
    with pytest.raises(RunnerBug, match="Traceback"):
        events.probed({"id": 0, "code": "RunnerBug", "detail": "Traceback ..."}, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(READERS)), st.data())
def test_no_message_raises_anything_else(kind: str, data: st.DataObject) -> None:
    message, read = READERS[kind]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(message)), json_values, max_size=3))
    try:
        read({**message, **changed})
    except (ProtocolMismatch, RunnerBug):
        return


@pytest.mark.parametrize(("kind", "said"), [("slice", "'slice'"), ("x" * 99, "'" + "x" * 40 + "'"), (None, "'None'")])
def test_who_begins_with_anything_but_hello_is_told_what_he_said(kind: object, said: str) -> None:
    with pytest.raises(ProtocolMismatch, match=f"the device began with {said}, not with hello$"):
        events.hello({"type": kind})
