"""Model files are found by the name that the job gives them, whatever characters it has, and keep it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from tests import models_kit as kit

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand, resolve
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.spec import parse_job

CONTENT, OTHER = (write_onnx(kit.graph(kit.SMALL[name])) for name in ("squeeze_excite", "max_pool"))


def plan(folder: Path, *models: str) -> tuple[Measurement, ...]:
    spec = parse_job(
        {"name": "j", "workloads": [{"models": list(models)}], "devices": ["desk"], "backends": [{"runtime": "onnxruntime"}]},
        source="job",
    )
    return expand(spec, resolve(spec, folder), ["desk"])


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


ODD = [
    "net[320].onnx",
    "net*.onnx",
    "net?.onnx",
    "a b.onnx",
    " a.onnx",
    "a#b.onnx",
    "a@b.onnx",
    "a@0123456789ab.onnx",
    "-a.onnx",
    "--home.onnx",
    "naïve 漢.onnx",
    "a=b,c.onnx",
    "a'b\"c.onnx",
    ".hidden.onnx",
    "[bold]x.onnx",
    "a\\b.onnx",
    "a\nb.onnx",
    "model.ONNX",
    "~.onnx",
    "$HOME.onnx",
]


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_is_there_is_that_file(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    (found,) = plan(tmp_path, name)
    assert found.workload.path == name
    assert found.workload.name.rpartition("@")[0] == name
    assert found.key.count("/") == 4
    (same,) = plan(tmp_path, str(tmp_path / name))
    assert same.key == found.key
    assert same.workload.path == str(tmp_path / name)


def test_a_name_that_is_there_stands_for_no_other_file(tmp_path: Path) -> None:
    put(tmp_path / "net[320].onnx")
    put(tmp_path / "net3.onnx")
    assert [m.workload.path for m in plan(tmp_path, "net[320].onnx")] == ["net[320].onnx"]
    (tmp_path / "net[320].onnx").unlink()
    assert [m.workload.path for m in plan(tmp_path, "net[320].onnx")] == ["net3.onnx"]


def test_a_glob_finds_odd_names_too(tmp_path: Path) -> None:
    for name in ("net[320].onnx", "-a.onnx", "a b.onnx"):
        put(tmp_path / "in" / name)
    assert [m.workload.path for m in plan(tmp_path, "in/*.onnx")] == ["in/-a.onnx", "in/a b.onnx", "in/net[320].onnx"]
    with pytest.raises(SpecError, match=r"'none\*\.onnx' matches no file"):
        plan(tmp_path, "none*.onnx")


def test_files_of_one_name_keep_their_folders(tmp_path: Path) -> None:
    put(tmp_path / "a" / "model.onnx")
    put(tmp_path / "b" / "model.onnx", OTHER)
    found = plan(tmp_path, "*/model.onnx")
    assert [m.workload.path for m in found] == ["a/model.onnx", "b/model.onnx"]
    assert len({m.key for m in found}) == 2


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="names are text in this encoding")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.onnx")))
    with pytest.raises(SpecError, match=r"caf\\xe9\.onnx' is no UTF-8; rename the file"):
        plan(tmp_path, "*.onnx")


def test_types_and_shapes_are_said_as_they_are_fed(tmp_path: Path) -> None:
    put(tmp_path / "m.onnx")
    (found,) = plan(tmp_path, "m.onnx")
    assert re.fullmatch(r"\w+ float32\[1, \d+, \d+, \d+\]", found.workload.takes)
    assert found.conditions.key == "b1-steady"
    assert found.backend.key == "onnxruntime-cpu-t1-fp32"
