"""Seeds, exit codes, words for times: small pure pieces of the controller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import duration, give_or_take, interval, latency, number, printable, quoted
from lutfarm.execution.orders import seed_of
from lutfarm_jobs import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SpecError(), 2),
        (errors.LinkLost(), 3),
        (errors.NotReady(), 3),
        (errors.StoreUnwritable(), 2),
        (errors.StoreNewer(), 2),
        (errors.StoreError(), 4),
        (errors.LeaseLost(), 4),
        (errors.OutOfMemory(), 1),
        (errors.RunnerBug(), 70),
        (errors.FarmError(), 70),
    ],
)
def test_exit_codes_are_stable(error: errors.FarmError, code: int) -> None:
    assert exit_codes.exit_code(error) == code


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (11_520, "3 h 12 min"),
        (172_799, "47 h 59 min"),
        (1_048_000, "12 d 3 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("ns", "words"), [(None, "-"), (75, "75 ns"), (12_345, "12.35 us"), (4_560_000, "4.56 ms"), (2.5e9, "2.5 s"), (0.0, "0 ns")]
)
def test_latencies_carry_their_unit(ns: float | None, words: str) -> None:
    assert latency(ns) == words


def test_an_interval_that_is_missing_is_a_dash() -> None:
    assert interval(None, 3.0) == "-"


def test_both_ends_of_an_interval_share_a_unit_where_they_can() -> None:
    assert interval(1e3, 2e3) == "1 - 2 us"
    assert interval(990e3, 1.02e6) == "990 us - 1.02 ms"


def test_a_latency_may_say_its_interval_as_a_share() -> None:
    assert give_or_take(2e6, 1.9e6, 2.1e6) == "2 ms +-5 %"
    assert give_or_take(2e6, None, None) == "2 ms"
    assert give_or_take(None, None, None) == "-"


@pytest.mark.parametrize(
    ("value", "text"), [(12_345_678.9, "12345679"), (9_999.96, "10000"), (0.0861951, "0.086195"), (4.0, "4")]
)
def test_numbers_have_no_exponent_where_they_are_large(value: float, text: str) -> None:
    assert number(value) == text


def test_paths_are_quoted_where_a_shell_needs_it() -> None:
    assert quoted("out/lut.json") == "out/lut.json"
    assert quoted("my out/lut.json") == "'my out/lut.json'"


@given(st.text())
def test_nothing_printable_can_steer_a_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(c.isprintable() for c in shown)


@given(st.sets(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=2, max_size=50))
def test_each_round_has_a_seed_of_its_own(order_ids: set[str]) -> None:
    seeds = {seed_of("job", order_id) for order_id in order_ids}
    assert len(seeds) == len(order_ids)
    assert all(0 <= seed < 2**32 for seed in seeds)
