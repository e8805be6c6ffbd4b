from __future__ import annotations

from lutfarm.server.admission.rates import MOST_CLIENTS, Rates


def test_a_burst_is_taken_and_then_so_many_a_second() -> None:
    rates = Rates(per_s=2.0, burst=3)
    assert [rates.take("a", 10.0) for _ in range(4)] == [True, True, True, False]
    assert [rates.take("a", 10.5) for _ in range(2)] == [True, False]


def test_who_waits_has_a_burst_again_and_no_more() -> None:
    rates = Rates(per_s=2.0, burst=3)
    assert all(rates.take("a", 0.0) for _ in range(3))
    assert [rates.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_one_client_does_not_take_from_another() -> None:
    rates = Rates(per_s=1.0, burst=1)
    assert rates.take("a", 0.0)
    assert rates.take("b", 0.0)
    assert not rates.take("a", 0.0)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    rates = Rates(per_s=1.0, burst=1)
    assert rates.take("a", 100.0)
    assert not rates.take("a", 50.0)
    assert not rates.take("a", 50.5)


def test_of_many_addresses_only_the_newest_are_kept() -> None:
    rates = Rates(per_s=0.0, burst=1)
    assert rates.take("first", 0.0)
    assert not rates.take("first", 0.0)
    for number in range(MOST_CLIENTS):
        rates.take(str(number), 0.0)
    assert not rates.take("1", 0.0)
    assert rates.take("first", 0.0)
