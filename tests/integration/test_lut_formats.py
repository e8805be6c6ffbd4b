"""Table files: written, read back equal."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lut_kit import TFLITE, entry, failed, manifest
from tests.table_files_kit import DUMP, FULL, OURS, PARSE, table

from lutfarm.lut import (
    Calibration,
    Entry,
    LatencyTable,
    Manifest,
    Network,
    Refusal,
    TableBackend,
    TableDevice,
    Validation,
    compare,
    load,
    save,
)
from lutfarm.lut.files import save_all
from lutfarm.lut.formats import csv as csv_format
from lutfarm.lut.formats import json as json_format
from lutfarm.lut.schema.calibration_record import Observed, Priors, calibration_of
from lutfarm.lut.schema.figures import share
from lutfarm.lut.schema.validation_record import Calibrated
from lutfarm_jobs.errors import SpecError, StoreUnwritable


@pytest.mark.parametrize("suffix", OURS)
def test_what_is_loaded_equals_what_was_saved(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lut.{suffix}"
    written = save(table(), path)
    assert written == (path, *([tmp_path / "lut.manifest.json"] if suffix == "csv" else []))
    assert set(written) == set(tmp_path.iterdir())
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
    "str": texts,
    "str | None": st.none() | texts,
    "float | None": numbers,
    "int": sizes,
    "int | None": st.none() | sizes,
    "tuple[str, ...]": st.lists(names, max_size=3).map(tuple),
}
_FIXED = {"key", "kind", "quantity_unit", "statistic", "estimate", "low", "high", "confidence", "failure_code"}
_free = st.fixed_dictionaries({f.name: _BY_TYPE[str(f.type)] for f in fields(Entry) if f.name not in _FIXED})
_estimates = st.lists(st.floats(1e-300, 1e300), min_size=3, max_size=3).map(sorted)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found: list[Entry] = []
    for key in draw(st.lists(texts, max_size=4, unique=True)):
        low, middle, high = draw(_estimates)
        kind = draw(st.sampled_from(["measured", "zero", "failed"]))
        by_kind: dict[str, dict[str, Any]] = {
            "measured": {"estimate": middle, "low": low, "high": high, "statistic": "p25_quiet"},
            "zero": {"estimate": 0.0, "low": 0.0, "high": 0.0},
            "failed": {"failure_code": draw(texts)},
        }
        found.append(Entry(**draw(_free) | {"key": key, "kind": kind} | by_kind[kind]))
    return found


manifests = st.builds(
    Manifest,
    job_id=texts,
    job_name=texts,
    created_s=st.floats(0, 1e11),
    lutfarm_version=texts,
    space=st.none() | texts,
    devices=st.lists(st.builds(TableDevice, texts, texts, cpus=sizes), max_size=2).map(tuple),
    backends=st.lists(st.builds(TableBackend, texts, texts, versions=st.dictionaries(texts, texts)), max_size=2).map(tuple),
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
            Network(arch, role, guess, low, high, None, failure=draw(texts))
            if failed_
            else Network(arch, role, guess, low, high, true, least, most, "", mended, under, over)
        )
    used = [n for n in networks if n.role == "validation" and n.measured]
    measured_ns = [n.measured for n in used]
    figures = compare([n.predicted for n in used], measured_ns)
    calibrated = None
    if size:  # as many as the table is calibrated on
        mended_ns = [n.calibrated for n in used]
        calibrated = Calibrated(size, compare(mended_ns, measured_ns), share([n.covered_calibrated for n in used]))
    else:
        networks = [replace(n, calibrated=None, calibrated_low=None, calibrated_high=None) for n in networks]
    return Validation(
        *place,
        space,
        figures,
        share([n.covered for n in used]),
        0.95,
        draw(st.none() | st.just(figures)),
        calibrated,
        draw(st.none() | st.floats(-0.5, 0.5)),
        tuple(networks),
        draw(texts),
        draw(sizes),
        draw(st.floats(0, 1e11)),
        draw(texts),
    )


@st.composite
def calibrations(draw: st.DrawFn, place: tuple[str, str], space: str) -> Calibration:
    keys = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    counts = st.dictionaries(st.sampled_from(keys), st.integers(1, 1_000_000), min_size=1)
    archs = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple)
    observed = st.builds(Observed, archs, counts, latencies, st.none() | st.floats(0, 3))
    return calibration_of(
        draw(st.lists(observed, min_size=1, max_size=4)),
        space=space,
        device=place[0],
        backend=place[1],
        priors=draw(st.none() | st.just(Priors(scale=0.5, own=(0.1, 0.2)))),
        confidence=draw(st.floats(0.5, 0.999)),
    )


@st.composite
def tables(draw: st.DrawFn) -> LatencyTable:
    found, where = draw(entries()), draw(manifests)
    places = sorted({(e.device, e.backend) for e in found})
    claims = st.sets(st.tuples(st.sampled_from(places), texts), max_size=2) if places else st.just(set())
    calibrated = [draw(calibrations(place, space)) for place, space in sorted(draw(claims))]
    sizes_ = {((one.device, one.backend), one.space): len(one.networks) for one in calibrated}
    return LatencyTable.of(
        found,
        replace(
            where,
            validations=tuple(
                draw(validations(place, space, sizes_.get((place, space), draw(st.sampled_from([0, 7])))))
                for place, space in sorted(draw(claims))
            ),
            refusals=tuple(Refusal(*place, space, "it disagrees") for place, space in sorted(draw(claims))),
            calibrations=tuple(calibrated),
        ),
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables())
def test_anything_that_a_table_can_hold_comes_back_exactly(one: LatencyTable) -> None:
    found = one.entries
    for suffix in OURS:
        other = PARSE[suffix](DUMP[suffix](one))
        assert other.entries == found
        assert other.manifest == one.manifest
        assert other == one
        assert [repr(e) for e in other.entries] == [repr(e) for e in found]  # also the sign of zero


@pytest.mark.parametrize("suffix", OURS)
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"lut.{suffix}"
    save(ONE, path)
    before = {found.name: found.read_bytes() for found in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnwritable, match="No space left on device") as caught:
        save(table(), path)
    assert str(path) in str(caught.value)
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable, match="No such file or directory"):
        save(table(), tmp_path / "none" / "lut.json")


def test_a_saved_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    save(table(), tmp_path / "lut.json")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "lut.json")}
    assert len(modes) == 1


WRITTEN = ("lut.json", "lut.csv", "lut.parquet", "lut.yaml")
ONE = LatencyTable.of([entry("fc_H1_W1_Cin8_Cout4_none")], manifest())


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(
    "there", [b"name: job\nworkloads: []\n", b"{}", b"key,value\n", b"PAR1 lutfarm-table PAR1", b"# lutfarm\na: 1\n"]
)
def test_what_is_there_and_is_no_table_stays(tmp_path: Path, name: str, there: bytes) -> None:
    (tmp_path / name).write_bytes(there)
    with pytest.raises(SpecError, match=rf"{name}: is there, and is no table of this format; choose another name"):
        save(ONE, tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: there}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_table_that_is_there_is_replaced_however_old_or_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()  # as a program leaves that makes a name of its own
    save(ONE, path)
    written = path.read_bytes()
    path.write_bytes(written.replace(b'"version": 3', b'"version": 2')[:-2])
    assert path.read_bytes() != written
    save(ONE, path)
    assert path.read_bytes() == written


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_no_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SpecError, match="is there, and is no file"):
        save(ONE, tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / name).stat().st_mode)


def test_of_several_files_none_is_written_where_one_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: job\n")
    for last, wanted in (("job.yaml", ""), ("lut.txt", ""), ("none/lut.csv", ""), ("lut.csv", "json")):
        with pytest.raises((SpecError, StoreUnwritable)):
            save_all(ONE, {tmp_path / "lut.json": "", tmp_path / "lut.parquet": "", tmp_path / last: wanted})
        assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]
    written = save_all(ONE, {tmp_path / "lut.json": "", tmp_path / "lut.csv": ""})
    assert [path.name for path in written] == ["lut.json", "lut.csv", "lut.manifest.json"]
    assert load(written[0]) == load(written[1]) == ONE


@pytest.mark.parametrize("name", ["lut.txt", "lut", "lut.pickle"])
def test_other_extensions_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"written as \.json, \.csv, \.parquet, \.yaml"):
        save(table(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_json_has_an_entry_a_line_and_no_nan() -> None:
    lines = json_format.dump(table()).decode().splitlines()
    data = json.loads("\n".join(lines), parse_constant=lambda name: pytest.fail(name))
    assert data["entries"][0]["estimate"] == 100.0
    assert data["entries"][2]["estimate"] is None
    assert sum(line.startswith('{"key":') for line in lines) == 6


def rows_of(one: LatencyTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_format.dump(one).decode(), newline="")))


def test_a_spreadsheet_finds_nothing_to_run() -> None:
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1", "'=1", "'"]
    one = LatencyTable.of([failed(f"op{n}", "Unstable", text) for n, text in enumerate(starts)], manifest())
    assert [row["failure_detail"] for row in rows_of(one)] == [f"'{text}" for text in starts]
    assert PARSE["csv"](DUMP["csv"](one)) == one


def test_csv_is_plain_from_its_first_line() -> None:
    rows = rows_of(table())
    assert list(rows[0]) == [f.name for f in fields(Entry)]
    assert [row["kind"] for row in rows] == ["measured", "zero", "failed", "failed", "measured", "measured"]
    assert float(rows[4]["estimate"]) == 0.1 + 0.2
    assert rows[2]["estimate"] == ""
    assert rows[4]["flags"] == "converged reference_provisional"
    assert rows[2]["statistic"] == ""  # nothing is said, and no mark of ours stands for that
