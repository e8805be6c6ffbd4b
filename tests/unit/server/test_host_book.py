"""Which hosts have joined, by what they said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lutfarm.records.host import HostSeen
from lutfarm.server.host_book import LOST_S, HostBook
from lutfarm_jobs.errors import SpecError

BENCH = HostSeen("bench", "session-1", "10.0.0.7", "0.1.0", "2.60.0", "3.11.9", 100.0)


@pytest.fixture
def book() -> HostBook:
    found = HostBook()
    found.saw(BENCH)
    return found


def test_the_newest_word_of_a_host_counts(book: HostBook) -> None:
    book.saw(replace(BENCH, seen_s=104.0, joined=True))
    assert book.all() == [replace(BENCH, seen_s=104.0, joined=True)]


def test_hosts_come_by_name(book: HostBook) -> None:
    book.saw(replace(BENCH, name="attic"))
    assert [host.name for host in book.all()] == ["attic", "bench"]


def test_another_process_of_that_name_is_refused_while_the_first_one_is_there(book: HostBook) -> None:
    other = replace(BENCH, session="session-2", address="10.0.0.8", seen_s=100.0 + LOST_S - 0.5)
    with pytest.raises(SpecError, match=r"'bench' has joined already, from 10\.0\.0\.7; .*choose another --name"):
        book.saw(other)
    assert book.all() == [BENCH]
    later = replace(other, seen_s=100.0 + LOST_S)
    book.saw(later)
    assert book.all() == [later]


def test_one_that_left_makes_room_at_once(book: HostBook) -> None:
    book.left("bench", "session-1")
    assert book.all() == []
    other = replace(BENCH, session="session-2")
    book.saw(other)
    assert book.all() == [other]


def test_an_earlier_process_does_not_take_the_later_one_off_the_list(book: HostBook) -> None:
    book.left("bench", "session-0")
    book.left("attic", "session-1")
    assert book.all() == [BENCH]


def test_only_a_lost_one_is_forgotten(book: HostBook) -> None:
    with pytest.raises(SpecError, match="end `lutfarm host join` on it first"):
        book.forget("bench", 100.0 + LOST_S - 0.5)
    assert book.all() == [BENCH]
    assert book.forget("bench", 100.0 + LOST_S)
    assert book.all() == []
    assert not book.forget("bench", 200.0)


def test_it_is_said_once_that_a_host_has_joined(book: HostBook) -> None:
    said = [
        book.saw(replace(BENCH, seen_s=seen_s, joined=joined))
        for seen_s, joined in (
            (104.0, False),
            (108.0, True),
            (112.0, True),
            (112.0 + LOST_S, True),
            (136.0, False),
            (140.0, True),
        )
    ]
    assert said == [False, True, False, True, False, True]


def test_one_that_was_killed_and_is_started_again_on_its_machine_need_not_wait(book: HostBook) -> None:
    again = replace(BENCH, session="session-2", seen_s=101.0)
    book.saw(again)
    assert book.all() == [again]
