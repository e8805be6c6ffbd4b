"""Bad input: exit code 2, a message that names file, line or field, and nothing changed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = """\
name: small
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]
devices: [desk]
backends:
  - runtime: onnxruntime
"""


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if "-wal" not in p.name and "-shm" not in p.name}


@pytest.fixture
def desk(lutfarm: Callable) -> None:
    assert lutfarm("device", "register", "desk", "--local").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (JOB.replace("desk", "phone"), "no device is registered as 'phone'"),
        (JOB.replace("onnxruntime", "tensorrt"), "backends[0].runtime"),
        (JOB.replace("backends", "backend"), "backend: unknown field"),
        (JOB.replace("  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]", "  - space: fbnet-225"), "fbnet-224"),
        (JOB.replace("conv_H14", "conv_X14"), "workloads[0].operators[0]"),
        (JOB.replace("  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]", "  - models: ['*.onnx']"), "matches no file"),
        (JOB + "sampling: {target_relative_interval: 0}\n", "sampling.target_relative_interval"),
        (JOB + "sampling: {rounds: -3}\n", "sampling.rounds"),
        ("a: &x 1\nb: *x\n", "line 1: anchors"),
        ("name: !!python/name:os.system x\n", "line 1: tags"),
        ("x: " + "y" * 10_000_000 + "\n", "longer than"),
        ("", "a job is a mapping"),
    ],
    ids=lambda value: value[:30].strip() if isinstance(value, str) else None,
)
def test_a_job_that_cannot_be_used(
    lutfarm: Callable, job_file: Callable, desk: None, tmp_path: Path, text: str, said: str
) -> None:
    path = job_file(text)
    before = files_in(tmp_path)
    result = lutfarm("run", path)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert str(path.name) in result.stderr or "devices[0]" in result.stderr or "workloads[0]" in result.stderr
    assert "Traceback" not in result.stderr
    assert files_in(tmp_path) == before
    assert lutfarm("job", "list", "--json").stdout.strip() == "[]"


@pytest.mark.parametrize("args", [("run", "no-such.yaml"), ("plan", "."), ("lut", "show", "no-such.json")])
def test_a_file_that_is_not_there(lutfarm: Callable, args: tuple[str, ...]) -> None:
    result = lutfarm(*args)
    assert result.returncode == 2
    assert args[-1] in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("run",), ("plan",), ("compare", "--a", "runtime=tflite", "--b", "runtime=onnxruntime")])
def test_a_home_that_is_not_there_is_not_made(
    lutfarm: Callable, job_file: Callable, tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = lutfarm(words[0], job_file(JOB), *words[1:], LUTFARM_HOME=str(tmp_path / "hoem"))
    assert result.returncode == 2
    assert "hoem is not there" in result.stderr
    assert not (tmp_path / "hoem").exists()


def test_a_doctor_looks_at_a_home_that_is_not_there_and_makes_none(lutfarm: Callable, tmp_path: Path) -> None:
    result = lutfarm("doctor", "--json", LUTFARM_HOME=str(tmp_path / "hoem"))
    found = {each["what"]: each for each in json.loads(result.stdout)}
    assert found["store"]["state"] == "note"
    assert "hoem is not there" in found["store"]["seen"]
    assert found["runner"]["state"] == "ok"  # heard from a folder that is gone again
    assert not (tmp_path / "hoem").exists()


MODEL_JOB = JOB.replace("operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]", "models: ['{name}']")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zero.onnx", b""),
        ("random.onnx", bytes(range(256)) * 40),
        ("cut.tflite", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 20),
        ("liar.onnx", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 200),
        ("text.bin", b"hello"),
    ],
)
def test_a_model_file_that_cannot_be_used(
    lutfarm: Callable, job_file: Callable, desk: None, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    result = lutfarm("run", job_file(MODEL_JOB.format(name=name)))
    assert result.returncode == 2, result.stderr
    assert name in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_are_refused(
    lutfarm: Callable, job_file: Callable, desk: None, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "real.bin").write_bytes(b"x" * 100)
    link(tmp_path / "real.bin", tmp_path / "model.onnx")
    result = lutfarm("run", job_file(MODEL_JOB.format(name="model.onnx")))
    assert result.returncode == 2, result.stderr
    assert "model.onnx" in result.stderr
    assert "link" in result.stderr


def test_unknown_words_on_the_command_line(lutfarm: Callable) -> None:
    assert lutfarm("measure").returncode == 2
    assert lutfarm("run", "--executor", "cloud", "job.yaml").returncode == 2
    assert lutfarm("device", "register", "a b", "--local").returncode == 2
    assert lutfarm("device", "show", "nobody").returncode == 2
    assert lutfarm("job", "show", "nothing").returncode == 2


def test_a_store_of_a_newer_version_is_left_alone(lutfarm: Callable, desk: None, tmp_path: Path) -> None:
    place = tmp_path / "home" / "farm.db"
    with sqlite3.connect(place) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    before = place.read_bytes()
    for args in (("device", "list"), ("job", "list"), ("device", "register", "other", "--local")):
        result = lutfarm(*args)
        assert result.returncode == 2, result.stderr
        assert "newer lutfarm" in result.stderr
    assert place.read_bytes() == before


def test_a_home_that_is_a_file(lutfarm: Callable, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    for args in (("device", "list"), ("device", "register", "desk", "--local")):
        result = lutfarm(*args)
        assert result.returncode == 2
        assert "--home" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_home_that_can_not_keep_a_devices_files(lutfarm: Callable, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "agents").write_text("")
    result = lutfarm("device", "register", "desk", "--local")
    assert result.returncode == 2, result.stderr
    assert "choose another place with --home" in result.stderr
    assert lutfarm("device", "list", "--json").stdout.strip() == "[]"


PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvvyJmtgTgRZ/EeMUOPBJ8PLOFVKPNaXw5oxHOFqBdR me@here"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--ssh", "me@127.77.99.1", "--key", "/nonexistent"), "--key /nonexistent: No such file"),
        (("--ssh", "me@127.77.99.1", "--key", "id.pub"), "is the public half of a key"),
        (("--ssh", "me@127.77.99.1", "--key", "job.yaml"), "is no private key"),
        (("--adb", "127.77.99.1:99999"), "99999 is no port"),
        (("--adb", "127.77.99.1:0"), "0 is no port"),
    ],
)
def test_an_address_or_key_that_can_be_none_is_refused_before_anything_is_connected(
    lutfarm: Callable, job_file: Callable, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    job_file(JOB)
    (tmp_path / "id.pub").write_text(PUBLIC)
    result = lutfarm("device", "register", "far", *args)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", b"{}"),
        ("t.json", b'{"format": "lutfarm latency table", "version": 1'),
        ("t.json", b""),
        ("t.csv", b"a,b\n1,2\n"),
        ("t.parquet", b"PAR1 and nothing else"),
        ("t.txt", b"hello"),
        ("t.json", b"[NaN]"),
    ],
)
def test_a_table_file_that_cannot_be_used(lutfarm: Callable, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for args in (("lut", "show", name), ("lut", "predict", name, "--space", "fbnet-224", "--random", "1")):
        result = lutfarm(*args)
        assert result.returncode == 2, result.stderr
        assert name in result.stderr
        assert "Traceback" not in result.stderr
