"""Table files: written, read back equal, and refused when they are not what was written."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lut_kit import TFLITE, entry, failed, manifest, validation

from lutfarm.lut import (
    BackendFacts,
    Calibration,
    DeviceFacts,
    Entry,
    LatencyTable,
    Manifest,
    Network,
    Refusal,
    Validation,
    compare,
    load,
    save,
)
from lutfarm.lut.calibration import Observed, Priors, calibration_of
from lutfarm.lut.formats import csv as csv_format
from lutfarm.lut.formats import header
from lutfarm.lut.formats import json as json_format
from lutfarm.lut.formats import parquet as parquet_format
from lutfarm.lut.validate import Calibrated, share
from lutfarm_jobs.errors import SpecError, StoreUnwritable

OURS = ("json", "csv", "parquet")
DUMP: dict[str, Callable[[LatencyTable], bytes]] = {
    "json": json_format.dump, "csv": csv_format.dump, "parquet": parquet_format.dump,
}
PARSE: dict[str, Callable[[bytes], LatencyTable]] = {
    "json": json_format.parse, "csv": csv_format.parse, "parquet": parquet_format.parse,
}
FULL = manifest(
    space="fbnet-224",
    devices=(DeviceFacts("desk", "generic", "CPU <b>", "x86_64", "Linux", 2, 8 * 10**9, call_floor_ns={"ort": 3000}),),
    backends=(BackendFacts("onnxruntime-cpu-t1-fp32", "onnxruntime", versions={"desk": "onnxruntime 1.24.1"}),),
    protocol={"desk": {"passes": 12, "gate_ratio": 1.12}},
    protocol_hash="ab" * 8,
    validations=(validation([104.0, 190.0, 310.0], [101.0, 200.0, 300.0]),),
    missing=("latency/operator:x/desk/onnxruntime-cpu-t1-fp32/b1-steady",),
)
ZERO = replace(entry("nothing"), kind="zero", estimate_ns=0.0, low_ns=0.0, high_ns=0.0, statistic="", flags=())
RICH = replace(
    entry("rich", 0.1 + 0.2, flags=("converged", "reference_provisional")),
    run_ids=("a" * 32, "b" * 32), peak_memory_bytes=2**53 + 1, temperature_low_c=-3.5, mean_ns=1e-300, std_ns=5e-324,
    load_ns=1.7976931348623157e308,
)


def table() -> LatencyTable:
    odd = failed("odd", "WorkloadFailed", "=cmd|' /C calc'!A0\n\"quoted\", comma, naïve 漢 \x00\r\n\t'")
    return LatencyTable.of([entry("a"), ZERO, odd, failed("empty", "Unstable", ""), RICH, entry("a", backend=TFLITE)], FULL)


@pytest.mark.parametrize("suffix", OURS)
def test_what_is_loaded_equals_what_was_saved(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lut.{suffix}"
    save(table(), path)
    found = load(str(path))
    assert found == table()
    assert found.entries == table().entries
    assert found.manifest == FULL
    assert found.content_hash == table().content_hash


@pytest.mark.parametrize("suffix", OURS)
def test_an_empty_table_comes_back(suffix: str) -> None:
    nothing = LatencyTable.of([], manifest())
    assert PARSE[suffix](DUMP[suffix](nothing)) == nothing


@pytest.mark.parametrize("suffix", OURS)
def test_a_part_of_a_table_comes_back(suffix: str) -> None:
    part = table().select(backend=TFLITE.key)
    assert PARSE[suffix](DUMP[suffix](part)) == part


@pytest.mark.parametrize("suffix", OURS)
def test_the_same_table_is_the_same_file(suffix: str) -> None:
    assert DUMP[suffix](table()) == DUMP[suffix](PARSE[suffix](DUMP[suffix](table())))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.sampled_from("abc_=+-@'\"#,漢"), min_size=1, max_size=6)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
sizes = st.integers(0, 2**63 - 1)

_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": texts, "str | None": st.none() | texts, "float | None": numbers, "int": sizes,
    "int | None": st.none() | sizes, "tuple[str, ...]": st.lists(names, max_size=3).map(tuple),
}
_FIXED = {"key", "kind", "quantity_unit", "statistic", "estimate_ns", "low_ns", "high_ns", "confidence", "failure_code"}
_free = st.fixed_dictionaries({f.name: _BY_TYPE[str(f.type)] for f in fields(Entry) if f.name not in _FIXED})
_estimates = st.lists(st.floats(1e-300, 1e300), min_size=3, max_size=3).map(sorted)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found: list[Entry] = []
    for key in draw(st.lists(texts, max_size=4, unique=True)):
        low, middle, high = draw(_estimates)
        kind = draw(st.sampled_from(["measured", "zero", "failed"]))
        by_kind: dict[str, dict[str, Any]] = {
            "measured": {"estimate_ns": middle, "low_ns": low, "high_ns": high, "statistic": "p25_quiet"},
            "zero": {"estimate_ns": 0.0, "low_ns": 0.0, "high_ns": 0.0},
            "failed": {"failure_code": draw(texts)},
        }
        found.append(Entry(**draw(_free) | {"key": key, "kind": kind} | by_kind[kind]))
    return found


manifests = st.builds(
    Manifest,
    job_id=texts, job_name=texts, created_s=st.floats(0, 1e11), lutfarm_version=texts, space=st.none() | texts,
    devices=st.lists(st.builds(DeviceFacts, texts, texts, cpus=sizes), max_size=2).map(tuple),
    backends=st.lists(st.builds(BackendFacts, texts, texts, versions=st.dictionaries(texts, texts)), max_size=2).map(tuple),
    protocol=st.dictionaries(texts, st.dictionaries(texts, sizes | st.floats(allow_nan=False, allow_infinity=False))),
    missing=st.lists(texts, max_size=2).map(tuple),
)


latencies = st.floats(1e-3, 1e12)


@st.composite
def validations(draw: st.DrawFn, place: tuple[str, str], space: str, size: int) -> Validation:
    archs = draw(st.lists(texts, min_size=2, max_size=5, unique=True))
    networks: list[Network] = []
    for at, arch in enumerate(archs):
        numbers_ns = [sorted(draw(st.lists(latencies, min_size=3, max_size=3))) for _ in range(3)]
        (low, guess, high), (least, true, most), (under, mended, over) = numbers_ns
        role = "validation" if at == 0 else draw(st.sampled_from(["validation", "calibration", "anchor"]))
        failed_ = at > 0 and draw(st.booleans())
        networks.append(
            Network(arch, role, guess, low, high, None, failure=draw(texts)) if failed_
            else Network(arch, role, guess, low, high, true, least, most, "", mended, under, over)
        )
    used = [n for n in networks if n.role == "validation" and n.measured_ns]
    measured_ns = [n.measured_ns for n in used]
    figures = compare([n.predicted_ns for n in used], measured_ns)
    calibrated = None
    if size:                                       # as many as the table is calibrated on
        mended_ns = [n.calibrated_ns for n in used]
        calibrated = Calibrated(size, compare(mended_ns, measured_ns), share([n.covered_calibrated for n in used]))
    else:
        networks = [replace(n, calibrated_ns=None, calibrated_low_ns=None, calibrated_high_ns=None) for n in networks]
    return Validation(
        *place, space, figures, share([n.covered for n in used]), 0.95, draw(st.none() | st.just(figures)), calibrated,
        draw(st.none() | st.floats(-0.5, 0.5)), tuple(networks), draw(texts), draw(sizes), draw(st.floats(0, 1e11)), draw(texts),
    )


@st.composite
def calibrations(draw: st.DrawFn, place: tuple[str, str], space: str) -> Calibration:
    keys = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    counts = st.dictionaries(st.sampled_from(keys), st.integers(1, 1_000_000), min_size=1)
    archs = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple)
    observed = st.builds(Observed, archs, counts, latencies, st.none() | st.floats(0, 3))
    return calibration_of(
        draw(st.lists(observed, min_size=1, max_size=4)), space=space, unit=place[0], backend_key=place[1],
        priors=draw(st.none() | st.just(Priors(scale=0.5, own=(0.1, 0.2)))), confidence=draw(st.floats(0.5, 0.999)),
    )


@st.composite
def tables(draw: st.DrawFn) -> LatencyTable:
    found, where = draw(entries()), draw(manifests)
    places = sorted({(e.unit, e.backend_key) for e in found})
    claims = st.sets(st.tuples(st.sampled_from(places), texts), max_size=2) if places else st.just(set())
    calibrated = [draw(calibrations(place, space)) for place, space in sorted(draw(claims))]
    sizes_ = {((one.unit, one.backend_key), one.space): len(one.networks) for one in calibrated}
    return LatencyTable.of(found, replace(
        where,
        validations=tuple(
            draw(validations(place, space, sizes_.get((place, space), draw(st.sampled_from([0, 7])))))
            for place, space in sorted(draw(claims))
        ),
        refusals=tuple(Refusal(*place, space, "it disagrees") for place, space in sorted(draw(claims))),
        calibrations=tuple(calibrated),
    ))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables())
def test_anything_that_a_table_can_hold_comes_back_exactly(one: LatencyTable) -> None:
    found = one.entries
    for suffix in OURS:
        other = PARSE[suffix](DUMP[suffix](one))
        assert other.entries == found
        assert other.manifest == one.manifest
        assert other == one
        assert [repr(e) for e in other.entries] == [repr(e) for e in found]        # also the sign of zero


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


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
        ('"version": 2', '"version": 3', "newer lutfarm"),
        ('"version": 2', '"version": 0', "its version is"),
        ('"version": 2', '"version": "1"', "its version is"),
        ("lutfarm-table", "lutfarm-job", "no table of lutfarm"),
        ('"manifest_hash"', '"manifest_hush"', "manifest_hush"),
        ("1800000000.0", "NaN", "NaN"),
        ("1800000000.0", "1e999", "manifest"),
    ],
)
def test_an_edited_file_is_refused_by_name(
    saved: Callable[[str], Path], suffix: str, old: str, new: str, said: str
) -> None:
    path = saved(suffix)
    change(path, old, new)
    with pytest.raises(SpecError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "said"),
    [
        ("json", '"estimate_ns": 100.0', '"estimate_ns": NaN', "NaN"),
        ("json", '"estimate_ns": 100.0', '"estimate_ns": 1e999', "estimate_ns is no finite number"),
        ("json", '"estimate_ns": 100.0', '"estimate_ns": "100.0"', "field estimate_ns"),
        ("json", '"estimate_ns": 100.0', '"estimate_ns": -1', "not above zero"),
        ("json", '"processes": 5', f'"processes": {2**63}', "field processes"),
        ("json", '"processes": 5', f'"processes": {"9" * 5000}', "cut or no JSON"),
        ("json", '"processes": 5', '"proccesses": 5', "entry 1: its fields"),
        ("json", '"unit": "desk"', '"unit": "\\ud800"', "manifest|field unit"),
        ("json", '"entries": [', '"entries": {"a": [', "cut or no JSON"),
        ("json", '"entries": [', '"entries": [3, ', "entry 1: its fields"),
        ("json", '"entries": [', '"antries": [', "antries"),
        ("json", '"kind": "measured"', '"kind": "estimated"', "kind is none of"),
        ("csv", ",100.0,", ",nan,", "estimate_ns is no finite number"),
        ("csv", ",100.0,", ",a lot,", "field estimate_ns"),
        ("csv", ",100.0,", ",,", "estimate or interval is missing"),
        ("csv", ",100.0,", ",100.0,7,", "cells"),
        ("csv", "workload_key", "worklode_key", "line 2"),
        ("csv", "# {", "{", "first line"),
    ],
)
def test_a_wrong_value_is_refused_by_place(
    saved: Callable[[str], Path], suffix: str, old: str, new: str, said: str
) -> None:
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
        [Observed((0, 1), {"a": 2, "b": 1}, 5e6, 0.01)], space="tiny", unit="desk", backend_key="onnxruntime-cpu-t1-fp32"
    )
    return json.loads(json_format.dump(table().with_calibrations([found])))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("calibrations", 0, "networks", 0, "measured_ns"), -1.0, r"networks\[0\]\.measured_ns is -1.0"),
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
        (("calibrations", 0, "unit"), "phone", "of no device and backend"),
        (("calibrations", 0, "pickle"), "gASV", r"manifest\.calibrations\.0\.pickle"),
        (("validations", 0, "figures", "mape"), 0.001, "figures say mape|can't be true"),
        (("validations", 0, "networks", 0, "measured_ns"), 5.0, "lies outside its interval"),
        (("validations", 0, "coverage"), 7.0, "coverage is 7.0"),
        (("validations", 0, "coverage"), 0.123, "coverage is 0.123, of its networks"),
        (("validations", 0, "figures", "kendall_tau"), 0.123, "figures say kendall_tau 0.123, its networks"),
        (("validations", 0, "networks", 0, "calibrated_ns"), 1e5, "calibrated predictions, but there are no figures of them"),
        (("validations", 0, "unit"), "phone", "of no device and backend"),
        (("validations", 0, "networks", 0, "role"), "king", r"manifest\.validations\.0\.networks\.0\.role"),
    ],
)
def test_whoever_mends_the_hashes_cant_claim_what_cant_be(place: tuple[str | int, ...], value: Any, said: str) -> None:
    data = calibrated()
    json_format.parse(json.dumps(data).encode())   # as it was written, it is read
    part: Any = data["manifest"]
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    data["manifest_hash"] = header._hash(data["manifest"])
    with pytest.raises(SpecError, match=said):
        json_format.parse(json.dumps(data).encode())


def test_a_table_of_version_1_is_read_unless_it_was_validated() -> None:
    plain = table().with_validations(())
    data = json.loads(json_format.dump(plain))
    del data["manifest"]["validations"], data["manifest"]["calibrations"]
    data |= {"version": 1}
    for validation_, said in ((None, None), ({"n": 3, "mape": 0.04}, "export the job again")):
        data["manifest"]["validation"] = validation_
        data["manifest_hash"] = header._hash(data["manifest"])
        if said:
            with pytest.raises(SpecError, match=said):
                json_format.parse(json.dumps(data).encode())
        else:
            assert json_format.parse(json.dumps(data).encode()) == plain


@pytest.mark.parametrize("suffix", OURS)
def test_a_cut_file_is_refused_wherever_it_was_cut(suffix: str) -> None:
    whole = DUMP[suffix](table())
    end = len(whole.rstrip(b"\r\n"))                # a last line break alone is no loss
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
        (lambda t: t.drop_columns(["unit"]), "columns are not those of a table: unit"),
        (lambda t: t.append_column("extra", [[1] * 6]), "extra"),
        (lambda t: t.slice(1), "entries are not the ones"),
        (lambda t: t.take([1, 0, 2, 3, 4, 5]), "entries are not the ones"),
        (lambda t: t.set_column(t.schema.get_field_index("processes"), "processes", [[1.5] * 6]), "types or order"),
        (lambda t: t.select(t.schema.names[::-1]), "types or order"),
        (lambda t: pa.concat_tables([t, t]), "its key stands twice"),
        (lambda t: not_utf8(t, "unit"), "a value that its column can't hold"),
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


@pytest.mark.parametrize("suffix", OURS)
def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"lut.{suffix}"
    path.write_text("the old one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnwritable, match="No space left on device") as caught:
        save(table(), path)
    assert str(path) in str(caught.value)
    assert path.read_text() == "the old one"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable, match="No such file or directory"):
        save(table(), tmp_path / "none" / "lut.json")


def test_a_saved_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    save(table(), tmp_path / "lut.json")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "lut.json")}
    assert len(modes) == 1


@pytest.mark.parametrize("name", ["lut.txt", "lut", "lut.pickle"])
def test_other_extensions_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"written as \.json, \.csv, \.parquet or \.yaml"):
        save(table(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_json_has_an_entry_a_line_and_no_nan() -> None:
    lines = json_format.dump(table()).decode().splitlines()
    data = json.loads("\n".join(lines), parse_constant=lambda name: pytest.fail(name))
    assert data["entries"][0]["estimate_ns"] == 100.0
    assert data["entries"][2]["estimate_ns"] is None
    assert sum(line.startswith('{"key":') for line in lines) == 6


def test_a_spreadsheet_finds_nothing_to_run() -> None:
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1", "'=1", "'"]
    rows = [failed(f"op{n}", "Unstable", text) for n, text in enumerate(starts)]
    one = LatencyTable.of(rows, manifest())
    content = csv_format.dump(one)
    written = list(csv.reader(io.StringIO(content.decode().split("\n", 1)[1], newline="")))
    column = written[0].index("failure_detail")
    assert [row[column] for row in written[1:]] == [f"'{text}" for text in starts]
    assert csv_format.parse(content) == one


def test_csv_is_read_by_anything_after_its_first_line() -> None:
    _, rest = csv_format.dump(table()).decode().split("\n", 1)
    rows = list(csv.DictReader(io.StringIO(rest, newline="")))
    assert [row["kind"] for row in rows] == ["measured", "zero", "failed", "failed", "measured", "measured"]
    assert float(rows[4]["estimate_ns"]) == 0.1 + 0.2
    assert rows[2]["estimate_ns"] == ""
    assert rows[4]["flags"] == "converged reference_provisional"
