"""What a process and its supervisor share: what runs, until when."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from lutfarm_runner import shared_page as page_module
from lutfarm_runner.shared_page import MOST_STARVED_NS, SPENT, Mark, Page
from lutfarm_runner.time_without_core import waited_ns

SECOND_NS = 10**9


def test_a_page_is_shared_through_its_descriptor():
    page = Page.create()
    child = Page(os.dup(page.descriptor))
    assert (page.read().id, page.read().deadline_ns, page.read().left_ns()) == (None, 0, None)
    child.mark(7, 123)
    child.spend({name: index for index, name in enumerate(SPENT)})
    assert (page.read().id, page.read().deadline_ns, page.read().pid) == (7, 123, os.getpid())
    assert page.spent_ns() == {name: index for index, name in enumerate(SPENT)}
    assert page.age_ns() > 0
    child.close()
    page.close()


@pytest.mark.parametrize(
    ("waited_s", "now_s", "left_s"),
    [
        (0, 0, -1),
        (3, 3, -1),  # it had its core all the time
        (3, 3.5, -0.5),
        (3, 7, 3),
        (None, 7, -1),
        (3, None, -1),  # nobody can say
        (3, 2, -1),  # another process has its number now
        (0, 1e6, MOST_STARVED_NS / SECOND_NS - 1),
    ],
)
def test_the_time_without_a_core_is_not_held_against_a_workload(monkeypatch, waited_s, now_s, left_s):
    def ns(seconds):
        return None if seconds is None else int(seconds * SECOND_NS)

    monkeypatch.setattr(page_module.time, "monotonic_ns", lambda: 101 * SECOND_NS)
    monkeypatch.setattr(page_module, "waited_ns", lambda pid: ns(now_s) if pid == 42 else None)
    assert Mark(1, 100 * SECOND_NS, 42, ns(waited_s)).left_ns() == ns(left_s)


def test_before_its_deadline_nobody_looks(monkeypatch):
    monkeypatch.setattr(page_module, "waited_ns", lambda _pid: pytest.fail("looked"))
    assert (Mark(1, time.monotonic_ns() + SECOND_NS, 42, 0).left_ns() or 0) > 0


def test_two_that_compute_on_one_core_wait_for_each_other():
    core = {min(os.sched_getaffinity(0))}
    context = multiprocessing.get_context("fork")
    go = context.Event()
    both = [context.Process(target=_compute, args=(core, go)) for _ in range(2)]
    for one in both:
        one.start()
    try:
        if waited_ns(both[0].pid) is None:
            pytest.skip("this kernel keeps no account of waiting")
        end_s = time.monotonic() + 60
        while min(waited_ns(one.pid) for one in both) < 20_000_000 and time.monotonic() < end_s:
            time.sleep(0.05)
        waited = [waited_ns(one.pid) for one in both]
    finally:
        go.set()
        for one in both:
            one.join(60)
            one.close()
    assert min(waited) >= 20_000_000


def _compute(core, enough):
    os.sched_setaffinity(0, core)
    while not enough.is_set():
        sum(range(1000))
