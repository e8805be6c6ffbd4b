from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.report.wording import (
    latency,
    latency_interval,
    percent,
    printable,
    scope,
    shortened,
    signed_percent,
    statistics,
    tick,
)

SIZES = {"s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1.0}


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0.0, "0.000 ns"),
        (75.0, "75.00 ns"),
        (999.9, "999.9 ns"),
        (1000.0, "1.000 µs"),
        (12_300.0, "12.30 µs"),
        (999_960.0, "1.000 ms"),
        (999_900.0, "999.9 µs"),
        (4_562_700.0, "4.563 ms"),
        (1.2345e9, "1.234 s"),
        (123.4e9, "123.4 s"),
        (1234e9, "1234 s"),
    ],
)
def test_latency_has_four_digits_in_a_unit_that_suits(ns: float, text: str) -> None:
    assert latency(ns) == text


@given(st.floats(min_value=1.0, max_value=9.9e11))
def test_latency_can_be_read_back_to_four_digits(ns: float) -> None:
    number, unit = latency(ns).split(" ")
    assert float(number) * SIZES[unit] == pytest.approx(ns, rel=5.1e-4)
    assert len(number.replace(".", "")) == 4 or float(number) >= 1000 or float(number) < 1


@pytest.mark.parametrize(("ns", "text"), [(20_000, "20 µs"), (500_000, "500 µs"), (1e6, "1 ms"), (2.5e7, "25 ms")])
def test_ticks_do_not_look_exact(ns: float, text: str) -> None:
    assert tick(ns) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (20_760, 21_000, "20.76 – 21.00 µs"),
        (980_000, 1_020_000, "0.9800 – 1.020 ms"),
        (None, 5.0, "no interval"),
        (5.0, None, "no interval"),
    ],
)
def test_both_ends_of_an_interval_have_one_unit(low: float | None, high: float | None, text: str) -> None:
    assert latency_interval(low, high) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0132, "1.3 %"),
        (0.0042, "0.42 %"),
        (1.2, "120 %"),
        (0.25, "25 %"),
        (0.01, "1.0 %"),
        (0.0, "0.0 %"),
        (0.0996, "10 %"),
        (0.994, "99 %"),
        (0.9967, "100 %"),
        (-0.9967, "-100 %"),
        (46.32, "4632 %"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


@given(st.floats(min_value=1e-5, max_value=1e4))
def test_a_percentage_is_read_back_to_two_digits_and_has_no_exponent(share: float) -> None:
    number, sign = percent(share).split(" ")
    assert sign == "%"
    assert float(number) == pytest.approx(100 * share, rel=0.0501)
    assert "e" not in number


@given(st.floats(min_value=-10, max_value=10))
def test_a_signed_percentage_has_a_sign_and_one_digit_after_the_point(share: float) -> None:
    text = signed_percent(share)
    assert text[0] in "+−"
    assert "-" not in text
    assert float(text.removesuffix(" %").replace("−", "-")) == pytest.approx(100 * share, abs=0.0501)


@pytest.mark.parametrize(("share", "text"), [(0.06, "+6.0 %"), (-0.1284, "−12.8 %"), (0.0, "+0.0 %")])
def test_signed_percent(share: float, text: str) -> None:
    assert signed_percent(share) == text


@given(st.floats(min_value=1e-3, max_value=1e12), st.floats(min_value=1, max_value=50))
def test_an_interval_ends_as_its_upper_latency_reads(low: float, times: float) -> None:
    ends, _, unit = latency_interval(low, low * times).rpartition(" ")
    lower, upper = ends.split(" – ")
    assert f"{upper} {unit}" == latency(low * times)
    assert float(lower) * SIZES[unit] == pytest.approx(low, rel=5.1e-4)
    assert float(lower) <= float(upper)


def test_a_latency_of_zero_is_one_and_one_below_keeps_its_sign() -> None:
    assert latency_interval(0.0, 2e6) == "0.000 – 2.000 ms"
    assert latency(-12_300.0) == "-12.30 µs"  # a difference


def test_a_scope_that_is_not_known_is_quoted() -> None:
    assert scope("rounds of 3 sittings, pooled") == "over rounds of 3 sittings, pooled"
    assert "another day" in scope("sitting")


def test_statistics_stand_the_usual_way_first_whatever_order_they_come_in() -> None:
    quiet, swept, tool = (statistics({name})[0] for name in ("p25_quiet", "p10_swept", "tool_mean"))
    assert len({quiet, swept, tool}) == 3
    assert statistics(["tool_mean", "p10_swept", "p25_quiet"]) == [quiet, swept, tool]
    mine = [f"{letter} of mine" for letter in "abcdefgh"]
    assert statistics({*mine, "p25_quiet"}) == [quiet, *mine]
    assert statistics(()) == []


def test_a_statistic_that_is_not_known_is_quoted_after_those_that_are() -> None:
    usual, contended, unknown = statistics({"p25_contended", "a mean", "p25_quiet"})

    assert "quiet slices" in usual
    assert "contended" in contended
    assert unknown == "a mean"


@given(st.text(max_size=200), st.integers(min_value=4, max_value=60))
def test_shortened_keeps_both_ends_and_the_limit(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    if len(text) > most:
        assert short[0] == printable(text)[0]
        assert short[-1] == printable(text)[-1]
        assert "…" in short
    else:
        assert short == printable(text)


@pytest.mark.parametrize(("most", "short"), [(1, "…"), (2, "…j"), (4, "ab…j"), (9, "abcde…hij"), (10, "abcdefghij")])
def test_what_is_cut_says_so_and_keeps_more_of_its_beginning(most: int, short: str) -> None:
    assert shortened("abcdefghij", most) == short


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\n", "\x7f", "\x85", "\u200b", "\u202e", "\ue000", "\ud800", "\ufeff", "\U000e0041"]
)
def test_each_character_that_steers_is_shown_as_one_that_is_not_known(character: str) -> None:
    assert printable(f"a{character}b") == "a�b"
    assert shortened(f"a{character}b", 10) == "a�b"


@given(st.text())
def test_printable_has_nothing_that_steers_the_text(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not [character for character in shown if unicodedata.category(character)[0] == "C"]


@pytest.mark.parametrize("text", ["conv_H56-k3 relu", "模型 é µ", "a|b,c+<i>'\"&$"])
def test_printable_leaves_readable_names_alone(text: str) -> None:
    assert printable(text) == text
