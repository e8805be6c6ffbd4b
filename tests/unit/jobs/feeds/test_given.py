"""What a job gives for an input, held against what the model says of it."""

from __future__ import annotations

from typing import Any

import pytest

from lutfarm_jobs.feeds.choices import checked
from lutfarm_jobs.feeds.given import given
from lutfarm_jobs.measurement import Feed, Fill, Workload
from lutfarm_jobs.models.info import ModelInput


def declared(dtype: str, shape: tuple[int | None, ...] | None = (2,)) -> ModelInput:
    return ModelInput("x", shape, dtype)


@pytest.mark.parametrize(
    ("choice", "dtype", "fill", "said"),
    [
        (16000, "int64", Fill("constant", (16000,)), "16000"),
        (1, "float32", Fill("constant", (1.0,)), "1"),
        (0.5, "float16", Fill("constant", (0.5,)), "0.5"),
        (True, "bool", Fill("constant", (True,)), "true"),
        (0, "bool", Fill("constant", (False,)), "false"),
        (2.0, "int32", Fill("constant", (2,)), "2"),
        (-8, "int4", Fill("constant", (-8,)), "-8"),
        ("ones", "bool", Fill("constant", (True,)), "ones"),
        ("zeros", "int8", Fill("constant", (0,)), "zeros"),
        ("normal", "float64", Fill("normal"), "normal"),
        ("arange", "int64", Fill("count", (0, 0)), "arange"),
        ({"uniform": [0, 30000]}, "int64", Fill("uniform", (0, 30000)), "0..30000"),
        ({"uniform": [0, 1]}, "float32", Fill("uniform", (0.0, 1.0)), "0..1"),
        ([1, 2], "int64", Fill("values", (1, 2)), "1,2"),
        ("a", "string", Fill("constant", ("a",)), "a"),
        (["a", "b"], "string", Fill("values", ("a", "b")), "a,b"),
    ],
)
def test_every_form_becomes_a_fill_of_the_inputs_type(choice: Any, dtype: str, fill: Fill, said: str) -> None:
    found = given(checked(choice), declared(dtype))
    assert (found.fill, found.said) == (fill, said)
    assert [type(number) for number in found.fill.numbers] == [type(number) for number in fill.numbers]


@pytest.mark.parametrize(
    ("choice", "dtype", "said"),
    [
        (300, "uint8", "300 is not within 0 and 255"),
        (8, "int4", "8 is not within -8 and 7"),
        (1.5, "int64", "1.5 is no whole number"),
        (True, "int64", "true is no number"),
        (2, "bool", "2 is neither true nor false"),
        ("normal", "int64", "normal numbers are for floating inputs"),
        ({"uniform": [0, 70000]}, "uint16", "70000 is not within"),
        ([[1, 2], [3]], "int64", "its lists differ in length"),
        (3, "string", "write numbers in quotes"),
        (["a"], "int64", "'a' is no number"),
        (1, "sequence(float32)", "give a file"),
    ],
)
def test_what_does_not_fit_is_named(choice: Any, dtype: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        given(checked(choice), declared(dtype))


@pytest.mark.parametrize(
    "choice",
    [
        float("nan"),
        float("inf"),
        None,
        "",
        "a\0b",
        {"uniform": [3, 1]},
        {"uniform": [1]},
        {"uniform": 3},
        {"normal": 1},
        {"uniform": [0, 1], "file": "x"},
        {"file": 3},
        [[[[[[[[[1]]]]]]]]],
    ],
)
def test_what_has_no_known_form_is_refused(choice: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked(choice)


def test_a_list_has_the_shape_of_its_nesting() -> None:
    assert given([[1, 2, 3], [4, 5, 6]], declared("int64", None)).shape == (2, 3)
    assert given([], declared("int64", None)).shape == (0,)


def workload(*feeds: Feed, values_sha256: str = "") -> Workload:
    return Workload("file", "m.onnx@0", "ab" * 32, feeds=feeds, values_sha256=values_sha256)


def test_what_is_given_is_in_the_key_and_what_is_assumed_is_not() -> None:
    rate = Feed("sr", Fill("constant", (16000,)), "16000", given=True)
    assert workload(Feed("x", Fill("normal"), "normal"), rate).key == "file:m.onnx@0{sr=16000}"
    assert workload(Feed("x", Fill("normal"), "normal")).key == "file:m.onnx@0"


def test_keys_of_long_or_filed_values_are_told_apart_by_a_hash() -> None:
    numbers = [tuple(range(first, first + 100)) for first in (0, 1)]
    long = [workload(Feed("x", Fill("values", n), f"{str(n)[:40]}…", given=True)).key for n in numbers]
    filed = [workload(Feed("x", Fill("file"), "x.npy", given=True), values_sha256=sha).key for sha in ("aa", "bb")]
    assert len({*long, *filed}) == 4
    assert all(key.startswith("file:m.onnx@0{values.") for key in (*long, *filed))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("x", ["a,b", "c"])], [("x", ["a", "b,c"])]),
        ([("x", ["a,y=b"])], [("x", ["a"]), ("y", ["b"])]),
        ([("x", [1]), ("y", [2])], [("x=1,y", [2])]),
    ],
)
def test_what_reads_alike_and_is_another_thing_has_another_key(one: list[Any], other: list[Any]) -> None:
    keys = [
        workload(*(Feed(name, Fill("values", tuple(of)), ",".join(map(str, of)), given=True) for name, of in feeds)).key
        for feeds in (one, other)
    ]
    assert keys[0] != keys[1]


def test_what_is_fed_is_hashed_whoever_says_so() -> None:
    feeds = [Feed("x", Fill("constant", (value,)), "", given=given_) for value in (0, 1) for given_ in (True, False)]
    hashes = [workload(feed).fed for feed in feeds]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert workload(Feed("x", Fill("file"), ""), values_sha256="aa").fed != workload(Feed("x", Fill("file"), "")).fed
    assert Workload("operator", "conv").fed == ""
