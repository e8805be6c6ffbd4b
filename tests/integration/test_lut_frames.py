"""Tables as data frames: what plain `read_csv(path)` makes of a file, and what a table gives by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.lut_kit import entry, failed, manifest
from tests.table_files_kit import table

from lutfarm.lut import Entry, LatencyTable, load, save
from lutfarm.lut.schema.columns import COLUMNS
from lutfarm_jobs.errors import ExtraMissing

NUMBERS = [name for name, (kind, _) in COLUMNS.items() if kind in ("number", "integer")]
TEXTS = [name for name in COLUMNS if name not in NUMBERS]
READ: dict[str, Callable[[Path], pd.DataFrame]] = {"pandas": pd.read_csv, "polars": lambda path: pl.read_csv(path).to_pandas()}
reader = pytest.mark.parametrize("read", READ.values(), ids=READ)


@reader
def test_a_csv_is_read_without_an_argument(tmp_path: Path, read: Callable[[Path], pd.DataFrame]) -> None:
    path = tmp_path / "lut.csv"
    save(table(), path)
    found = read(path)
    assert list(found.columns) == [f.name for f in fields(Entry)]
    assert len(found) == len(table())
    assert found["estimate"].tolist()[:2] == [100.0, 0.0]
    assert found["estimate"].isna().tolist() == [False, False, True, True, False, False]
    assert found["key"].tolist() == [e.key for e in table().entries]
    assert found["kind"].tolist() == [e.kind for e in table().entries]
    assert found["rounds"].tolist() == [e.rounds for e in table().entries]
    assert found["flags"].tolist()[4] == "converged reference_provisional"
    measured = found[found["kind"] == "measured"]
    assert (measured["low"] <= measured["estimate"]).all()


@reader
def test_numbers_are_numbers_and_texts_are_texts(tmp_path: Path, read: Callable[[Path], pd.DataFrame]) -> None:
    save(table(), tmp_path / "lut.csv")
    found = read(tmp_path / "lut.csv")
    for name in NUMBERS:
        if found[name].notna().any():
            assert pd.api.types.is_numeric_dtype(found[name]), name
    for name in TEXTS:
        assert not any(isinstance(value, int | float) for value in found[name].dropna()), name


ODD = ["NA", "nan", "None", "null", "007", "1e5", "12e4567890123456", "inf", "True", "false", "N/A", "1.5", ".5", "5."]


@reader
@pytest.mark.parametrize("name", ODD)
def test_a_text_that_looks_like_something_else_stays_one(tmp_path: Path, read: Callable[[Path], pd.DataFrame], name: str) -> None:
    """A device may be called NA or 007, a fingerprint may consist of digits: neither is a gap or a number."""
    rows = [replace(entry(key), device=name, fingerprint=name, run_ids=(name,)) for key in "ab"]
    one = LatencyTable.of(rows, manifest())
    save(one, tmp_path / "lut.csv")
    found = read(tmp_path / "lut.csv")
    for column in ("device", "fingerprint", "run_ids"):
        assert found[column].tolist() == [f"'{name}"] * 2
    assert load(tmp_path / "lut.csv") == one


def test_a_column_that_begins_empty_keeps_its_type(tmp_path: Path) -> None:
    """Readers that guess from the first rows find numbers later."""
    rows = [failed(f"f{n}", "Unstable", "it is") for n in range(150)] + [entry(f"m{n}") for n in range(150)]
    save(LatencyTable.of(rows, manifest()), tmp_path / "lut.csv")
    assert pd.read_csv(tmp_path / "lut.csv")["estimate"].sum() == 150 * 100.0
    assert pl.read_csv(tmp_path / "lut.csv", infer_schema_length=None)["estimate"].sum() == 150 * 100.0


def test_parquet_and_csv_have_the_same_columns(tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        save(table(), tmp_path / f"lut.{suffix}")
    columns = pq.read_table(tmp_path / "lut.parquet").column_names
    assert list(pd.read_csv(tmp_path / "lut.csv").columns) == columns
    assert list(pl.read_csv(tmp_path / "lut.csv").columns) == columns


def test_a_table_gives_a_frame_of_pandas(tmp_path: Path) -> None:
    found = table().to_pandas()
    save(table(), tmp_path / "lut.parquet")
    pd.testing.assert_frame_equal(found, pd.read_parquet(tmp_path / "lut.parquet"))
    assert found["estimate"].dtype == "float64"
    assert found["rounds"].dtype == "int64"
    assert found["key"].tolist() == [e.key for e in table().entries]
    assert list(found["flags"][4]) == ["converged", "reference_provisional"]


def test_a_table_gives_a_frame_of_polars(tmp_path: Path) -> None:
    found = table().to_polars()
    save(table(), tmp_path / "lut.parquet")
    assert found.equals(pl.read_parquet(tmp_path / "lut.parquet"))
    assert found.schema["estimate"] == pl.Float64
    assert found.schema["peak_memory_bytes"] == pl.Int64
    assert found.schema["flags"] == pl.List(pl.String)
    assert found["peak_memory_bytes"].to_list()[4] == 2**53 + 1


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_library_that_is_not_there_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraMissing, match=rf"{name} is not installed .*pip install 'lutfarm\[{name}\]'") as caught:
        getattr(table(), f"to_{name}")()
    assert isinstance(caught.value, ImportError)
