"""Conditions, orders and columns of a table by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lut_kit import entry, failed

from lutfarm.cli.lut.show import ENTRY_COLUMNS, FILE_COLUMNS
from lutfarm.lut.query import column_named, columns_named, condition, query, without_unit
from lutfarm.lut.schema.columns import COLUMNS
from lutfarm.lut.schema.entry import Entry
from lutfarm_jobs.errors import SpecError

SMALL = entry("conv_a", 1_000.0)
LARGE = replace(entry("skip_b", 2e6, flags=("contended", "drift")), p95=2.2e6, variation=0.03)
BROKEN = failed("conv_c")
ENTRIES = (SMALL, LARGE, BROKEN)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("estimate", "estimate"),
        ("load", "load_ns"),
        ("workload", "workload"),
        ("device", "device"),
        ("p50", "median"),
        ("median", "median"),
        ("p95", "p95"),
        ("temperature_high", "temperature_high_c"),
        ("key", "key"),
        ("Latency", "estimate"),
        ("INTERVAL", "relative_half_width"),
        ("P50", "median"),
    ],
)
def test_a_column_is_called_by_its_name_or_without_its_unit(text: str, column: str) -> None:
    assert column_named(text) == column


@pytest.mark.parametrize("heading", [column.name for column in (*ENTRY_COLUMNS, *FILE_COLUMNS)])
def test_every_heading_that_is_printed_is_a_column(heading: str) -> None:
    assert column_named(heading) == column_named(heading.upper()) == column_named(heading.capitalize())
    assert query(sort=[heading, f"-{heading}"]).of(ENTRIES)
    condition(f"{heading}=")


def test_no_two_columns_are_called_alike() -> None:
    assert [column_named(without_unit(name)) for name in COLUMNS] == list(COLUMNS)


def test_a_column_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(
        SpecError, match=r"no column 'estimat'; did you mean estimate.*It has .*latency, interval, batch, .*key, workload, device"
    ) as error:
        column_named("estimat")
    assert all(name in error.value.detail for name in COLUMNS)


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ((), ENTRIES),
        (("estimate>1e6",), (LARGE,)),
        (("estimate >= 1000",), (SMALL, LARGE)),
        (("estimate>1us",), (LARGE,)),
        (("estimate<=1us",), (SMALL,)),
        (("estimate=2ms",), (LARGE,)),
        (("estimate<1",), ()),
        (("workload~conv",), (SMALL, BROKEN)),
        (("workload!~conv",), (LARGE,)),
        (("workload~conv", "kind=measured"), (SMALL,)),
        (("kind==failed",), (BROKEN,)),
        (("kind!=measured",), (BROKEN,)),
        (("flags~cont",), (LARGE,)),
        (("flags=cont",), ()),
        (("flags=drift",), (LARGE,)),
        (("flags!~contended",), (SMALL, BROKEN)),
        (("p95=",), (SMALL, BROKEN)),
        (("p95!=",), (LARGE,)),
        (("p95>0",), (LARGE,)),
        (("interval<=2.1%",), (SMALL, LARGE)),
        (("interval<1 %",), ()),
        (("Variation>2%",), (LARGE,)),
        (("variation>0.02",), (LARGE,)),
        (("p95!=5",), (SMALL, LARGE, BROKEN)),
        (("failure_code~Memory",), (BROKEN,)),
    ],
)
def test_entries_of_which_every_condition_is_true_are_left(where: tuple[str, ...], left: tuple[Entry, ...]) -> None:
    assert query(where=where).of(ENTRIES) == list(left)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("estimate", "is no condition"),
        ("", "is no condition"),
        ("__class__=x", "has no column"),
        ("estimate>fast", "'fast' is no number"),
        ("estimate>nan", "is no number"),
        ("estimate>1e999", "is no number"),
        ("estimate>", "a number is missing behind >"),
        ("estimate~1", "estimate is a number"),
        ("workload>a", "workload is text"),
        ("workload~", "a text is missing behind ~"),
        ("rounds>3ms", "rounds is no time"),
        ("rounds>2%", "rounds is no share; of these per cent may be said: .*variation"),
        ("latency>2%", "estimate is no share"),
        ("variation>2ms", "variation is no time"),
        ("variation>x%", "of shares 2%"),
        ("estimate>1;import os", "is no number"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_one_looks_like(text: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        condition(text)


@given(st.text())
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        condition(text).holds(SMALL)
    except SpecError as error:
        assert error.detail


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (("estimate",), [SMALL, LARGE, BROKEN]),
        (("-estimate",), [LARGE, SMALL, BROKEN]),
        (("kind", "-estimate"), [BROKEN, LARGE, SMALL]),
        (("-p95",), [LARGE, SMALL, BROKEN]),
        (("workload",), [SMALL, BROKEN, LARGE]),
    ],
)
def test_entries_are_sorted_and_what_has_no_value_comes_last(sort: tuple[str, ...], first: list[Entry]) -> None:
    assert query(sort=sort).of(ENTRIES) == first
    assert query(sort=sort, limit=1).of(ENTRIES) == first[:1]


def test_columns_are_named_with_commas_or_one_by_one() -> None:
    assert columns_named(["workload, p50", "p95", "workload"]) == ("workload", "median", "p95")
    assert columns_named([]) == ()
