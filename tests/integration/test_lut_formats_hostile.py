"""Table files that are not what was written are refused, and say where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.table_files_kit import DUMP, OURS, PARSE, table

from lutfarm.lut import load, save
from lutfarm.lut.formats import header
from lutfarm.lut.formats import json as json_format
from lutfarm.lut.formats import parquet as parquet_format
from lutfarm.lut.schema.calibration_record import Observed, calibration_of
from lutfarm_jobs.errors import SpecError


def change(path: Path, old: str, new: str) -> None:
    """In the file, or, where only that has it, in what lies beside it."""
    for place in (path, path.with_suffix(".manifest.json")):
        text = place.read_text()
        if old in text:
            place.write_text(text.replace(old, new, 1))
            return
    raise AssertionError(f"nothing says {old}")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    def write(suffix: str) -> Path:
        path = tmp_path / f"lut.{suffix}"
        save(table(), path)
        return path

    return write


@pytest.mark.parametrize("suffix", ["json", "csv"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("100.0", "99.5", "entries are not the ones that were written"),
        ("converged", "konverged", "entries are not the ones that were written"),
        ("fbnet-224", "fbnet-32", "manifest is not the one that was written"),
        ("1.12", "1.13", "manifest is not the one that was written"),
        ('"version": 4', '"version": 5', "newer lutfarm"),
        ('"version": 4', '"version": 3', "an earlier lutfarm .*: export its job again"),
        ('"version": 4', '"version": 0', "its version is"),
        ('"version": 4', '"version": "1"', "its version is"),
        ("lutfarm-table", "lutfarm-job", "no table of lutfarm"),
        ('"manifest_hash"', '"manifest_hush"', "manifest_hush"),
        ("1800000000.0", "NaN", "NaN"),
        ("1800000000.0", "1e999", "manifest"),
    ],
)
def test_an_edited_file_is_refused_by_name(saved: Callable[[str], Path], suffix: str, old: str, new: str, said: str) -> None:
    path = saved(suffix)
    change(path, old, new)
    with pytest.raises(SpecError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "said"),
    [
        ("json", '"estimate": 100.0', '"estimate": NaN', "NaN"),
        ("json", '"estimate": 100.0', '"estimate": 1e999', "estimate is no finite number"),
        ("json", '"estimate": 100.0', '"estimate": "100.0"', "field estimate"),
        ("json", '"estimate": 100.0', '"estimate": -1', "not above zero"),
        ("json", '"low": 98.0', '"low": -98.0', "estimate lies outside its interval"),
        ("json", '"rounds": 5', f'"rounds": {2**63}', "field rounds"),
        ("json", '"rounds": 5', f'"rounds": {"9" * 5000}', "cut or no JSON"),
        ("json", '"rounds": 5', '"roundss": 5', "entry 1: its fields"),
        ("json", '"device": "desk"', '"device": "\\ud800"', "manifest|field device"),
        ("json", '"entries": [', '"entries": {"a": [', "cut or no JSON"),
        ("json", '"entries": [', '"entries": [3, ', "entry 1: its fields"),
        ("json", '"entries": [', '"antries": [', "antries"),
        ("json", '"kind": "measured"', '"kind": "estimated"', "kind is none of"),
        ("csv", ",100.0,", ",nan,", "estimate is no finite number"),
        ("csv", ",100.0,", ",a lot,", "field estimate"),
        ("csv", ",100.0,", ",,", "estimate or interval is missing"),
        ("csv", ",100.0,", ",100.0,7,", "cells"),
        ("csv", "workload", "worklode_key", "line 1"),
        ("csv", '"manifest": {', '"manifest": [', "cut or no JSON"),
    ],
)
def test_a_wrong_value_is_refused_by_place(saved: Callable[[str], Path], suffix: str, old: str, new: str, said: str) -> None:
    path = saved(suffix)
    change(path, old, new)
    with pytest.raises(SpecError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_whoever_mends_the_hashes_still_has_to_say_what_can_be_true() -> None:
    """A hash tells edits by accident; what holds of every entry is checked whatever the hash says."""
    data = json.loads(json_format.dump(table()))
    data["manifest"]["composition"] = 5
    data["manifest_hash"] = header._hash(data["manifest"])
    with pytest.raises(SpecError, match=r"manifest\.composition"):
        json_format.parse(json.dumps(data).encode())
    data["manifest"] |= {"composition": "isolated", "colour": "red"}
    data["manifest_hash"] = header._hash(data["manifest"])
    with pytest.raises(SpecError, match=r"manifest\.colour"):
        json_format.parse(json.dumps(data).encode())


def calibrated() -> dict[str, Any]:
    """A table with a validation and a calibration, as its JSON says it."""
    found = calibration_of(
        [Observed((0, 1), {"a": 2, "b": 1}, 5e6, 0.01)], space="tiny", device="desk", backend="onnxruntime-cpu-t1-fp32"
    )
    return json.loads(json_format.dump(table().with_calibrations([found])))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("calibrations", 0, "networks", 0, "measured"), -1.0, r"networks\[0\]\.measured is -1.0"),
        (("calibrations", 0, "networks", 0, "counts"), [10**9, 1], "count that is not from 1 to"),
        (("calibrations", 0, "networks", 0, "operators"), [0, 7], "names an operator that is not listed"),
        (("calibrations", 0, "networks", 0, "arch"), [-3], "a network that is none"),
        (("calibrations", 0, "networks", 0, "arch"), "0,1", r"manifest\.calibrations\.0\.networks\.0\.arch"),
        (("calibrations", 0, "networks", 0, "arch"), [0.5], r"manifest\.calibrations\.0\.networks\.0\.arch"),
        (("calibrations", 0, "networks"), [], "0 networks; give 1 to 200"),
        (("calibrations", 0, "priors", "own"), [0.1] * 100, "more than 256 combinations"),
        (("calibrations", 0, "priors", "scale"), 1e30, r"priors\.scale"),
        (("calibrations", 0, "version"), 99, "upgrade lutfarm"),
        (("calibrations", 0, "basis"), "guessed", r"manifest\.calibrations\.0\.basis"),
        (("calibrations", 0, "device"), "phone", "of no device and backend"),
        (("calibrations", 0, "pickle"), "gASV", r"manifest\.calibrations\.0\.pickle"),
        (("validations", 0, "figures", "mape"), 0.001, "figures say mape|can't be true"),
        (("validations", 0, "networks", 0, "measured"), 5.0, "lies outside its interval"),
        (("validations", 0, "coverage"), 7.0, "coverage is 7.0"),
        (("validations", 0, "coverage"), 0.123, "coverage is 0.123, of its networks"),
        (("validations", 0, "figures", "kendall_tau"), 0.123, "figures say kendall_tau 0.123, its networks"),
        (("validations", 0, "networks", 0, "calibrated"), 1e5, "calibrated predictions, but there are no figures of them"),
        (("validations", 0, "device"), "phone", "of no device and backend"),
        (("validations", 0, "networks", 0, "role"), "king", r"manifest\.validations\.0\.networks\.0\.role"),
    ],
)
def test_whoever_mends_the_hashes_cant_claim_what_cant_be(place: tuple[str | int, ...], value: Any, said: str) -> None:
    data = calibrated()
    json_format.parse(json.dumps(data).encode())  # as it was written, it is read
    part: Any = data["manifest"]
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    data["manifest_hash"] = header._hash(data["manifest"])
    with pytest.raises(SpecError, match=said):
        json_format.parse(json.dumps(data).encode())


@pytest.mark.parametrize("suffix", OURS)
def test_a_cut_file_is_refused_wherever_it_was_cut(suffix: str) -> None:
    whole = DUMP[suffix](table())
    end = len(whole.rstrip(b"\r\n"))  # a last line break alone is no loss
    lengths = {*range(0, end, max(1, end // 150)), *range(end - 40, end)}
    for length in sorted(lengths):
        with pytest.raises(SpecError):
            PARSE[suffix](whole[:length])


@pytest.mark.parametrize("suffix", OURS)
@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(suffix: str, content: bytes) -> None:
    with pytest.raises(SpecError):
        PARSE[suffix](content)


@pytest.mark.parametrize("suffix", OURS)
@settings(max_examples=150)
@given(st.data())
def test_a_flipped_byte_is_refused_or_changes_nothing(suffix: str, data: st.DataObject) -> None:
    whole = bytearray(DUMP[suffix](table()))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        found = PARSE[suffix](bytes(whole))
    except SpecError:
        return
    assert found == table()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"entries": []}', b"null", b"[]", b'"text"', b"{}", b"7"])
def test_other_json_is_refused(content: bytes) -> None:
    with pytest.raises(SpecError):
        json_format.parse(content)


def parquet_of(arrow: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(arrow, sink)
    return sink.getvalue().to_pybytes()


def not_utf8(arrow: Any, name: str) -> Any:
    wrong = pa.array([b"\xff"] * arrow.num_rows).view(pa.string())
    place = arrow.schema.get_field_index(name)
    return arrow.set_column(place, arrow.schema.field(place), wrong)


@pytest.mark.parametrize(
    ("change_", "said"),
    [
        (lambda t: t.replace_schema_metadata(None), "no table of lutfarm"),
        (lambda t: t.replace_schema_metadata({b"lutfarm": b"{"}), "cut or no JSON"),
        (lambda t: t.drop_columns(["device"]), "columns are not those of a table: device"),
        (lambda t: t.append_column("extra", [[1] * 6]), "extra"),
        (lambda t: t.slice(1), "entries are not the ones"),
        (lambda t: t.take([1, 0, 2, 3, 4, 5]), "entries are not the ones"),
        (lambda t: t.set_column(t.schema.get_field_index("rounds"), "rounds", [[1.5] * 6]), "types or order"),
        (lambda t: t.select(t.schema.names[::-1]), "types or order"),
        (lambda t: pa.concat_tables([t, t]), "its key stands twice"),
        (lambda t: not_utf8(t, "device"), "a value that its column can't hold"),
    ],
)
def test_an_edited_parquet_file_is_refused(change_: Callable[[Any], Any], said: str) -> None:
    arrow = pq.read_table(pa.BufferReader(parquet_format.dump(table())))
    metadata = arrow.schema.metadata
    changed = change_(arrow)
    if changed.schema.metadata is None and said != "no table of lutfarm":
        changed = changed.replace_schema_metadata(metadata)
    with pytest.raises(SpecError, match=said):
        parquet_format.parse(parquet_of(changed))


def test_a_parquet_file_in_several_pieces_is_the_same_table() -> None:
    arrow = pq.read_table(pa.BufferReader(parquet_format.dump(table())))
    sink = pa.BufferOutputStream()
    pq.write_table(arrow, sink, row_group_size=2, compression="none")
    assert parquet_format.parse(sink.getvalue().to_pybytes()) == table()


@pytest.mark.parametrize("name", ["lut.txt", "lut", "lut.pkl", "lut.yaml", "lut.json.gz"])
def test_only_table_files_are_loaded(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(SpecError, match=r"ends in \.json, \.csv, \.parquet"):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", OURS)
def test_what_cant_be_read_is_said_of_the_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SpecError, match=r"none\.\w+: can't be read: No such file"):
        load(tmp_path / f"none.{suffix}")
    (tmp_path / f"folder.{suffix}").mkdir()
    with pytest.raises(SpecError, match="can't be read: Is a directory"):
        load(tmp_path / f"folder.{suffix}")
    with pytest.raises(SpecError, match="can't be read"):
        load(f"null\0byte.{suffix}")


def test_an_extension_is_told_in_capitals_too(tmp_path: Path) -> None:
    save(table(), tmp_path / "LUT.JSON")
    assert load(tmp_path / "LUT.JSON") == table()


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutfarm.lut.files.LARGEST_BYTES", 100)
    (tmp_path / "lut.json").write_bytes(b" " * 101)
    with pytest.raises(SpecError, match="longer than 100 bytes"):
        load(tmp_path / "lut.json")


@pytest.mark.parametrize("limit", ["MOST_ENTRIES", "MOST_BYTES"])
def test_a_parquet_file_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(parquet_format, limit, 5)
    with pytest.raises(SpecError, match="the most for a table"):
        parquet_format.parse(parquet_format.dump(table()))


def test_a_csv_without_what_lay_beside_it_is_no_table(saved: Callable[[str], Path]) -> None:
    path = saved("csv")
    beside = path.with_suffix(".manifest.json")
    content = beside.read_bytes()
    beside.unlink()
    with pytest.raises(SpecError, match=r"lut\.manifest\.json: can't be read: No such file.*copy it here too.*pandas"):
        load(path)
    beside.write_bytes(content)
    assert load(path) == table()


def test_a_csv_with_what_lay_beside_another_table_is_refused(tmp_path: Path) -> None:
    save(table(), tmp_path / "one.csv")
    save(table().select(device="desk", backend="tflite-cpu-t1-fp32"), tmp_path / "other.csv")
    (tmp_path / "other.manifest.json").replace(tmp_path / "one.manifest.json")
    with pytest.raises(SpecError, match="entries are not the ones that were written"):
        load(tmp_path / "one.csv")


def test_what_lies_beside_a_csv_is_no_table_of_its_own(saved: Callable[[str], Path]) -> None:
    with pytest.raises(SpecError, match=r"lut\.manifest\.json: lies beside the entries of a table; name the \.csv file"):
        load(saved("csv").with_suffix(".manifest.json"))


def test_what_lies_beside_a_csv_replaces_no_file_of_another_kind(tmp_path: Path) -> None:
    foreign = tmp_path / "lut.manifest.json"
    foreign.write_text('{"name": "of a web page"}')
    with pytest.raises(SpecError, match=r"lut\.manifest\.json: is there, and is none of ours"):
        save(table(), tmp_path / "lut.csv")
    assert foreign.read_text() == '{"name": "of a web page"}'
    assert not (tmp_path / "lut.csv").exists()
    with pytest.raises(SpecError, match=r"beside lut\.csv; choose another"):
        save(table(), foreign)
