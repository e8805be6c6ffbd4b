"""The cache of models: by content, safe against damage, kills and company."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lutfarm_jobs import models, spaces
from lutfarm_jobs.atomic_files import DRAFT
from lutfarm_jobs.errors import SpecError, StoreUnwritable
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.models import Built, build_model, reference_output
from lutfarm_jobs.models.files import cached
from lutfarm_jobs.models.reference_output import expected
from lutfarm_jobs.runtimes import ModelFormat

FORMATS: list[ModelFormat] = ["onnx", "tflite"]
OPERATOR = Workload("operator", "conv_H14_W14_Cin8_Cout8_k3_s1_g1_relu")
NETWORK = Workload("network", "nas-bench-201-cifar10:|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def digest(built: Built) -> str:
    return hashlib.sha256(built.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("workload", [OPERATOR, NETWORK], ids=["operator", "network"])
def test_a_model_is_named_by_its_content(tmp_path: Path, workload: Workload, fmt: ModelFormat) -> None:
    built = models.build(workload, fmt, tmp_path)
    assert built.path.name == built.artifact.file_name == f"{digest(built)}.{fmt}"
    assert built.path.stat().st_size == built.artifact.size_bytes
    assert built.inputs == ()
    assert built.input_layout == ("nhwc" if fmt == "tflite" else "as_is")


def test_a_model_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = models.build(OPERATOR, "onnx", tmp_path)
    monkeypatch.setattr(build_model, "_written", lambda *_: pytest.fail("built again"))
    assert models.build(OPERATOR, "onnx", tmp_path) == first


def test_another_writer_version_builds_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.build(OPERATOR, "onnx", tmp_path)
    monkeypatch.setattr(build_model, "MODELS_VERSION", 999)
    monkeypatch.setattr(build_model, "_written", lambda *_: b"newer")
    assert models.build(OPERATOR, "onnx", tmp_path).path.read_bytes() == b"newer"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


DAMAGES = [truncate, flip, empty, remove]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_damaged_model_is_built_again(tmp_path: Path, fmt: ModelFormat, damage) -> None:
    built = models.build(OPERATOR, fmt, tmp_path)
    whole = built.path.read_bytes()
    damage(built.path)
    assert models.build(OPERATOR, fmt, tmp_path) == built
    assert built.path.read_bytes() == whole


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_written_again(tmp_path: Path, damage) -> None:
    built = models.build(OPERATOR, "onnx", tmp_path)
    (index,) = (tmp_path / "index").glob("*.json")
    whole = index.read_bytes()
    damage(index)
    assert models.build(OPERATOR, "onnx", tmp_path) == built
    assert index.read_bytes() == whole


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"sha256": "../../../etc/passwd"}', b'{"sha256": 5}', b"\xff"])
def test_an_index_that_says_nonsense_is_not_believed(tmp_path: Path, content: bytes) -> None:
    built = models.build(OPERATOR, "onnx", tmp_path)
    (index,) = (tmp_path / "index").glob("*.json")
    index.write_bytes(content)
    assert models.build(OPERATOR, "onnx", tmp_path) == built


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_reference_is_computed_again(tmp_path: Path, damage) -> None:
    found = expected(OPERATOR, "onnx", tmp_path)
    (path,) = (tmp_path / "expected").glob("*.json")
    damage(path)
    assert expected(OPERATOR, "onnx", tmp_path) == found


def test_a_reference_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = expected(OPERATOR, "onnx", tmp_path)
    monkeypatch.setattr(reference_output, "draw", lambda *_: pytest.fail("computed again"))
    assert expected(OPERATOR, "onnx", tmp_path) == found


def test_a_reference_samples_the_output_in_the_layout_of_the_format(tmp_path: Path) -> None:
    in_onnx, in_tflite = (expected(OPERATOR, fmt, tmp_path) for fmt in FORMATS)
    assert in_onnx is not None
    assert in_tflite is not None
    assert len(in_onnx.positions) == len(in_onnx.values) == reference_output.MOST_POSITIONS
    assert in_onnx.positions == in_tflite.positions
    assert in_onnx.values != in_tflite.values
    assert in_onnx.largest == in_tflite.largest >= max(map(abs, in_onnx.values))
    graph = build_model.graph_of(OPERATOR)
    at = dict(zip(in_tflite.positions, in_tflite.values, strict=True))
    channels, area = graph.outputs[0].shape[1], 14 * 14
    shared = 0
    for position, value in zip(in_onnx.positions, in_onnx.values, strict=True):
        channel, pixel = divmod(position, area)
        if (other := at.get(pixel * channels + channel)) is not None:
            assert other == value
            shared += 1
    assert shared > 100


def test_a_small_output_is_sampled_whole_and_another_seed_gives_another(tmp_path: Path) -> None:
    workload = Workload("operator", "fc_H1_W1_Cin64_Cout10_none")
    found, other = (expected(workload, "onnx", tmp_path, input_seed=seed) for seed in (0, 1))
    assert found is not None
    assert found.positions == tuple(range(10))
    assert other is not None
    assert other.values != found.values


def test_nobody_knows_what_a_model_file_puts_out(tmp_path: Path) -> None:
    assert expected(Workload("file", "m.onnx@abc", "0" * 64), "onnx", tmp_path) is None
    assert files(tmp_path) == set()


BUILD = """
import sys
from pathlib import Path
from lutfarm_jobs import models
from lutfarm_jobs.measurement import Workload
print("ready", flush=True)
sys.stdin.readline()
for size in range(8, 40):
    workload = Workload("operator", f"conv_H{size}_W{size}_Cin8_Cout8_k3_s1_g1_relu")
    for fmt in ("onnx", "tflite"):
        print(models.build(workload, fmt, Path(sys.argv[1])).artifact.sha256, flush=True)
"""


def builder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_build_at_once_get_the_same(tmp_path: Path) -> None:
    both = [builder(tmp_path) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    first, second = (process.communicate(timeout=120)[0].split() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert first == second
    assert len(first) == 64
    blobs = {path.stem: path for path in (tmp_path / "blobs").glob("[0-9a-f]*")}
    assert set(blobs) == set(first)
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == name for name, path in blobs.items())


@pytest.mark.parametrize("after", [1, 9, 20])
def test_a_builder_that_is_killed_leaves_nothing_that_misleads(tmp_path: Path, after: int) -> None:
    process = builder(tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    for _ in range(after):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    for path in (tmp_path / "blobs").glob("[0-9a-f]*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    again = builder(tmp_path)
    out, _ = again.communicate("\n", timeout=120)
    assert again.returncode == 0
    assert len(set(out.split())) == 64


def test_what_a_killed_process_left_half_written_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".partial").mkdir()
    for name, age_s in ((f"{DRAFT}{'0' * 16}", 7200), (f"{DRAFT}{'f' * 16}", 0)):
        (tmp_path / ".partial" / name).write_bytes(b"half")
        os.utime(tmp_path / ".partial" / name, (time.time() - age_s, time.time() - age_s))
    with cached(tmp_path / "whole") as file:
        file.write(b"whole")
    assert files(tmp_path) == {f".partial/{DRAFT}{'f' * 16}", "whole"}


def test_a_block_that_fails_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), cached(path) as file:
        file.write(bytes([1 // len(files(tmp_path / "nothing"))]))
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == {"kept"}


def test_a_cache_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(StoreUnwritable, match=r"can't be written: .*; free space, or choose another --home"):
        models.build(OPERATOR, "onnx", tmp_path / "cache")


def test_a_disk_that_takes_no_more_is_named_and_nothing_half_written_stays(tmp_path: Path) -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from pathlib import Path; from lutfarm_jobs import models\n"
        "from lutfarm_jobs.errors import StoreUnwritable\n"
        "try:\n"
        f"    models.canary('onnx', Path({str(tmp_path)!r}))\n"
        "except StoreUnwritable as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "can't be written: File too large" in result.stdout
    assert files(tmp_path) == set()


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_canary_is_one_fixed_operator(tmp_path: Path, fmt: ModelFormat) -> None:
    built = models.canary(fmt, tmp_path)
    assert built == models.canary(fmt, tmp_path)
    assert built.artifact.suffix == f".{fmt}"


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_model_file_is_copied_by_content(tmp_path: Path, fmt: ModelFormat) -> None:
    own = tmp_path / f"mine.{fmt}"
    own.write_bytes(models.build(OPERATOR, fmt, tmp_path / "made").path.read_bytes())
    imported = models.import_file(own, tmp_path / "cache")
    assert imported.path.read_bytes() == own.read_bytes()
    assert imported.artifact.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()
    assert imported.input_layout == "as_is"
    workload = Workload("file", f"mine.{fmt}@x", imported.artifact.sha256)
    assert models.build(workload, fmt, tmp_path / "cache") == imported
    own.unlink()
    assert models.import_file(own, tmp_path / "cache", sha256=imported.artifact.sha256) == imported


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_of_a_model_file_is_copied_again(tmp_path: Path, damage) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(models.build(OPERATOR, "onnx", tmp_path / "made").path.read_bytes())
    imported = models.import_file(own, tmp_path / "cache")
    damage(imported.path)
    workload = Workload("file", "mine.onnx@x", imported.artifact.sha256)
    with pytest.raises(SpecError, match=r"mine.onnx@x: its copy in .* is gone or damaged"):
        models.build(workload, "onnx", tmp_path / "cache")
    assert models.import_file(own, tmp_path / "cache", sha256=imported.artifact.sha256) == imported
    assert imported.path.read_bytes() == own.read_bytes()


def test_a_model_file_that_changed_since_the_job_was_read_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(models.build(OPERATOR, "onnx", tmp_path / "made").path.read_bytes())
    with pytest.raises(SpecError, match=r"mine\.onnx: changed since the job was read"):
        models.import_file(own, tmp_path / "cache", sha256="0" * 64)
    assert files(tmp_path / "cache") == set()


def test_a_users_own_space_is_used_by_its_name(tmp_path: Path) -> None:
    mine = replace(spaces.load("fbnet-32"), name="mine")  # type: ignore[type-var]
    arch = mine.format(mine.random(0, 1)[0])
    built = models.build(Workload("network", f"mine:{arch}"), "onnx", tmp_path, spaces={"mine": mine})
    assert built.artifact.size_bytes > 1_000_000
    with pytest.raises(SpecError, match="unknown space 'mine'"):
        models.build(Workload("network", f"mine:{arch}"), "onnx", tmp_path)


@pytest.mark.parametrize(
    ("workload", "says"),
    [
        (Workload("operator", "conv_nonsense"), "conv_nonsense"),
        (Workload("network", "fbnet-32:1,2,3"), "22 layers"),
        (Workload("network", "nothing"), "unknown space 'nothing'"),
    ],
)
def test_workloads_that_name_nothing(tmp_path: Path, workload: Workload, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        models.build(workload, "onnx", tmp_path)
