"""What a child of the runner is held to, and what its round does around the sampling."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import lutfarm_runner
from lutfarm_runner import wire
from lutfarm_runner.child import round as rounds
from lutfarm_runner.child.inside_child import Post
from lutfarm_runner.child.load_model import Loaded
from lutfarm_runner.child.sampling import Subject
from lutfarm_runner.commands import Limits, Round, WireSlicing, Workload
from lutfarm_runner.machine import limits
from lutfarm_runner.shared_page import SPENT
from lutfarm_runner.wire import Lines, Refused, Writer

ROOT = str(Path(lutfarm_runner.__file__).parents[1])
PLAN = WireSlicing(1, 400_000, 5, 2, 1e9, 0, 1, 4_000_000, 3)
ORDER = Round((), PLAN, 1, Workload(0, "m", "onnxruntime", 1, seed=5), 20_000, Limits(1 << 30, 10.0, 10.0), ())


class Blank:
    """A page that nobody watches."""

    def mark(self, *_):
        pass

    spend = mark


@pytest.fixture
def post():
    with Path(os.devnull).open("wb") as sink:
        yield Post(Writer(sink.fileno()), Blank(), time.perf_counter_ns())


@pytest.mark.parametrize(("parent", "code", "said"), [("os.getppid()", 0, "lives\n"), ("os.getpid()", 1, "")])
def test_a_child_whose_parent_ended_before_the_kernel_was_told_ends_itself(parent, code, said):
    reach = f"import os, sys; sys.path.insert(0, {ROOT!r}); from lutfarm_runner.machine.limits import die_with_parent"
    program = f"{reach}; die_with_parent({parent}); print('lives')"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


@pytest.mark.parametrize(("hard", "soft"), [(1 << 33, 1 << 33), (resource.RLIM_INFINITY, (1 << 40) + (1 << 30))])
def test_no_more_memory_is_allowed_than_the_system_gives(monkeypatch, hard, soft):
    told = []
    monkeypatch.setattr(limits, "mapped_bytes", lambda: 1 << 30)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (5, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda what, pair: told.append((what, pair)))
    limits.allow_memory(1 << 40)
    assert told == [(resource.RLIMIT_AS, (soft, hard))]


def test_switches_are_counted_of_every_thread_that_measures(monkeypatch):
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_nivcsw=who))
    assert rounds.real_clock(1).switches() == resource.RUSAGE_THREAD
    assert [rounds.real_clock(threads).switches() for threads in (2, 4)] == [resource.RUSAGE_SELF] * 2


@pytest.mark.parametrize("reference_ns", [20_000, None])
def test_a_canary_is_warm_before_anything_is_held_against_it(monkeypatch, post, reference_ns):
    ran, at = [], []
    model = SimpleNamespace(run=lambda: ran.append(1))
    monkeypatch.setattr(rounds, "load", lambda *_: Loaded(model, 1, 1))
    monkeypatch.setattr(rounds.Sampler, "establish", lambda _sampler: at.append(len(ran)))
    order = Round(ORDER.workloads, PLAN, 1, ORDER.canary, reference_ns, ORDER.limits, ())
    rounds._canary(post, order, None)
    assert len(ran) >= PLAN.warmup_first * PLAN.canary_iterations
    assert at == ([] if reference_ns else [len(ran)])


def test_no_garbage_is_collected_while_something_is_timed(monkeypatch, post):
    seen = []
    monkeypatch.setattr(rounds, "load", lambda *_: Loaded(SimpleNamespace(run=lambda: None), 1, 1))
    sampler = rounds._canary(post, ORDER, None)
    subject = Subject(0, lambda: seen.append(gc.isenabled()), 100_000)
    assert gc.isenabled()
    try:
        rounds._sample(post, ORDER, sampler, [subject], dict.fromkeys(SPENT, 0), post.began_ns)
    finally:
        gc.enable()
        gc.unfreeze()
    assert len(seen) > 4
    assert not any(seen)


def test_a_line_without_end_is_refused_and_what_follows_is_read(monkeypatch):
    monkeypatch.setattr(wire, "COMMAND_LIMIT", 1000)
    reader, writer = os.pipe()
    try:
        lines = Lines(reader)
        os.write(writer, b"x" * 1000)
        assert lines.read() == []
        os.write(writer, b"x")
        with pytest.raises(Refused, match="longer than 1000 bytes") as caught:
            lines.read()
        assert caught.value.code == "ProtocolMismatch"
        os.write(writer, b"next\n")
        assert lines.read() == [b"next"]
    finally:
        os.close(reader)
        os.close(writer)
