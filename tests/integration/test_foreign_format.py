"""Table files in a format of another package that gives what it must not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest
from tests.lut_kit import entry, manifest

from lutfarm.lut import LatencyTable, files, load, save
from lutfarm.lut.formats.known import Beside, TableFormat
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.registry import Registry

WRONG = cast(Any, 7)


@pytest.fixture
def table() -> LatencyTable:
    return LatencyTable.of([entry("conv")], manifest())


def use(monkeypatch: pytest.MonkeyPatch, found: TableFormat) -> None:
    monkeypatch.setattr(files, "FORMATS", Registry("lutfarm.none", "table format", TableFormat, {"new": found}))


def nothing(*_: object) -> Any:
    return WRONG


def test_a_format_that_writes_no_bytes_is_refused_and_leaves_no_file(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, TableFormat(nothing))
    with pytest.raises(PluginRefused, match=r"the table format 'new', which .* adds, gives a int where a bytes is wanted"):
        save(table, tmp_path / "table.new")
    use(monkeypatch, TableFormat(lambda _: b"good", beside=Beside(".more", nothing, nothing)))
    with pytest.raises(PluginRefused, match="gives a int where a bytes is wanted"):
        save(table, tmp_path / "table.new")
    assert not list(tmp_path.iterdir())


def test_a_format_that_reads_no_table_is_refused_and_replaces_no_file(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, TableFormat(lambda _: b"good", parse=nothing))
    path = tmp_path / "table.new"
    path.write_bytes(b"somebody's")
    with pytest.raises(PluginRefused, match="gives a int where a LatencyTable is wanted"):
        load(path)
    with pytest.raises(PluginRefused, match="gives a int where a LatencyTable is wanted"):
        save(table, path)
    assert path.read_bytes() == b"somebody's"


ODD = TableFormat(lambda _: b"good", beside=Beside(WRONG, nothing, nothing))


def test_a_second_file_whose_name_has_no_ending_is_said_to_be_the_packages_fault(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_point = metadata.EntryPoint("new", f"{__name__}:ODD", "lutfarm.none")

    def installed(**_: str) -> list[metadata.EntryPoint]:
        return [entry_point]

    monkeypatch.setattr(metadata, "entry_points", installed)
    monkeypatch.setattr(files, "FORMATS", Registry("lutfarm.none", "table format", TableFormat, {}))
    path = tmp_path / "table.new"
    path.write_bytes(b"")
    for call in (lambda: load(path), lambda: save(table, path)):
        with pytest.raises(PluginRefused, match=r"the table format 'new', which .* adds, failed: "):
            call()
