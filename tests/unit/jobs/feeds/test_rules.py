"""What an input holds when nobody says so."""

from __future__ import annotations

import pytest

from lutfarm_jobs.feeds.analysis import Role
from lutfarm_jobs.feeds.rules import SAMPLE_RATE_HZ, assumed
from lutfarm_jobs.measurement import Fill
from lutfarm_jobs.models.info import ModelInput

SHAPES = {"audio": (2, 480), "x": (2,)}


def fill(dtype: str, *roles: Role, name: str = "x", shape: tuple[int, ...] = (2,)) -> Fill:
    return assumed(ModelInput(name, shape, dtype), shape, roles, SHAPES | {name: shape}).fill


@pytest.mark.parametrize(
    ("dtype", "made"),
    [
        ("float32", Fill("normal")),
        ("float16", Fill("normal")),
        ("bfloat16", Fill("normal")),
        ("float8_e4m3fn", Fill("normal")),
        ("bool", Fill("constant", (True,))),
        ("uint8", Fill("uniform", (0, 255))),
        ("int8", Fill("uniform", (-128, 127))),
        ("int4", Fill("uniform", (-8, 7))),
        ("int64", Fill("count", (1, 100))),
        ("int32", Fill("count", (1, 100))),
        ("uint64", Fill("count", (1, 100))),
    ],
)
def test_by_type(dtype: str, made: Fill) -> None:
    assert fill(dtype) == made


@pytest.mark.parametrize(
    ("name", "dtype", "made"),
    [
        ("attention_mask", "int64", Fill("constant", (1,))),
        ("input_mask", "bool", Fill("constant", (True,))),
        ("src.Mask", "int32", Fill("constant", (1,))),
        ("mask", "float32", Fill("normal")),
        ("token_type_ids", "int64", Fill("constant", (0,))),
        ("segment_ids", "int64", Fill("constant", (0,))),
        ("position_ids", "int64", Fill("count", (0, 0))),
        ("pos", "int32", Fill("count", (0, 0))),
        ("sr", "int64", Fill("constant", (SAMPLE_RATE_HZ,))),
        ("sample_rate", "int32", Fill("constant", (SAMPLE_RATE_HZ,))),
        ("rate", "int64", Fill("constant", (SAMPLE_RATE_HZ,))),
        ("sampling_rate", "int64", Fill("constant", (SAMPLE_RATE_HZ,))),
        ("input_lengths", "int64", Fill("constant", (480,))),
        ("x_len", "int32", Fill("constant", (480,))),
        ("seq_lens", "int64", Fill("constant", (480,))),
        ("lengths", "int64", Fill("constant", (480,))),
        ("srcs", "int64", Fill("count", (1, 100))),
        ("silence", "int64", Fill("count", (1, 100))),
        ("iterate", "int64", Fill("count", (1, 100))),
        ("compose", "int64", Fill("count", (1, 100))),
    ],
)
def test_by_name(name: str, dtype: str, made: Fill) -> None:
    assert fill(dtype, name=name) == made


@pytest.mark.parametrize(
    ("role", "dtype", "shape", "made"),
    [
        (Role("Gather", 1, rows=(30522,)), "int64", (2,), Fill("uniform", (0, 30521))),
        (Role("GATHER", 1, rows=(10,)), "int32", (2,), Fill("uniform", (0, 9))),
        (Role("Gather", 1), "int64", (2,), Fill("count", (1, 100))),
        (Role("ScatterND", 1, rows=(9, 5, 7)), "int64", (2,), Fill("uniform", (0, 4))),
        (Role("GatherElements", 1, rows=(("audio", 0),)), "int64", (2,), Fill("uniform", (0, 1))),
        (Role("GatherElements", 1, rows=(("elsewhere", 0),)), "int64", (2,), Fill("count", (1, 100))),
        (Role("LSTM", 4, length=100), "int32", (1,), Fill("constant", (100,))),
        (Role("GRU", 4, length=("audio", 1)), "int32", (2,), Fill("constant", (480,))),
        (Role("GRU", 4), "int32", (2,), Fill("constant", (480,))),
        (Role("If", 0), "bool", (), Fill("constant", (True,))),
        (Role("Loop", 0), "int64", (), Fill("constant", (1,))),
        (Role("Compress", 1), "int64", (9,), Fill("constant", (1,))),
        (Role("Reshape", 1), "int64", (3,), Fill("values", (-1, 1, 1))),
        (Role("Expand", 1), "int64", (3,), Fill("constant", (1,))),
        (Role("Tile", 1), "int64", (3,), Fill("constant", (1,))),
        (Role("Slice", 2), "int64", (1,), Fill("constant", (2**31 - 1,))),
        (Role("Slice", 4), "int64", (1,), Fill("constant", (1,))),
        (Role("Pad", 1), "int64", (4,), Fill("constant", (0,))),
        (Role("TopK", 1), "int64", (1,), Fill("constant", (1,))),
        (Role("ReduceSum", 1), "int64", (2,), Fill("count", (0, 0))),
        (Role("NonMaxSuppression", 3), "float32", (1,), Fill("constant", (0.5,))),
        (Role("Dropout", 2), "bool", (), Fill("constant", (False,))),
        (Role("Resize", 2), "float32", (4,), Fill("constant", (1.0,))),
    ],
)
def test_by_what_it_is_for(role: Role, dtype: str, shape: tuple[int, ...], made: Fill) -> None:
    assert fill(dtype, role, shape=shape) == made


def test_the_smallest_table_that_ids_pick_from_bounds_them() -> None:
    large, small = Role("Gather", 1, rows=(500,)), Role("Gather", 1, rows=(20,))
    assert fill("int64", large, Role("Add", 0), small) == Fill("uniform", (0, 19))
    assert fill("int64", Role("Gather", 1, rows=(512,)), name="position_ids") == Fill("count", (0, 512))
    assert fill("uint8", Role("Gather", 1, rows=(30522,))) == Fill("uniform", (0, 255))


def test_what_it_holds_can_be_told_in_a_few_characters() -> None:
    said = {
        assumed(ModelInput(name, (2,), dtype), (2,), (), SHAPES).said
        for name, dtype in (("x", "float32"), ("x", "int64"), ("x", "uint8"), ("mask", "bool"))
    }
    assert said == {"normal", "1,2,..", "0..255", "true"}
