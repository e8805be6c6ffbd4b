"""Model files that people name: refused with a reason and advice, or read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests import models_kit as kit
from tests import tflite_kit

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.feeds.resolve import Asked, feeding
from lutfarm_jobs.job_file.workloads import ModelsWorkload
from lutfarm_jobs.measurement import InputShape
from lutfarm_jobs.models.files import LARGEST_BYTES
from lutfarm_jobs.models.info import ModelInfo, ModelInput
from lutfarm_jobs.models.inspect import inspect_file, resolve_inputs
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.read_models import model_files
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.sources import ModelFile
from lutfarm_jobs.spec import parse_job

ONNX = write_onnx(kit.graph(kit.SMALL["conv1x1"]))
TFLITE = write_tflite(kit.graph(kit.SMALL["conv1x1"]))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("name", "content"), [("a.onnx", ONNX), ("a.tflite", TFLITE), ("A.ONNX", ONNX)])
def test_a_good_file(tmp_path: Path, name: str, content: bytes) -> None:
    info = inspect_file(write(tmp_path / name, content))
    assert info.format == name.lower().rpartition(".")[2]
    assert info.size_bytes == len(content)
    assert len(info.sha256) == 64
    assert [i.name for i in info.inputs] == ["input"]
    assert resolve_inputs(info, {}) == ()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("zero.onnx", b"", r"zero\.onnx: is empty \(0 bytes\); export or download it again"),
        ("zero.tflite", b"", "is empty"),
        ("random.onnx", bytes(range(256)) * 40, r"random\.onnx: can't be used as \.onnx"),
        ("random.tflite", bytes(range(256)) * 40, r"random\.tflite: is no TensorFlow Lite model"),
        ("marked.tflite", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 200, r"can't be used as \.tflite"),
        ("cut.onnx", ONNX[: len(ONNX) // 2], r"cut\.onnx: can't be used.*export or download it again"),
        ("cut.tflite", TFLITE[: len(TFLITE) // 2], r"cut\.tflite: can't be used.*export or download it again"),
        ("liar.onnx", TFLITE, r"holds a TensorFlow Lite model; rename it to liar\.tflite"),
        ("liar.tflite", ONNX, r"holds an ONNX model; rename it to liar\.onnx"),
        ("short.tflite", b"TFL", "is no TensorFlow Lite model"),
        ("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\n", "can't be used"),
        ("model.pt", ONNX, r"ends in \.pt; a model file ends in \.onnx or \.tflite"),
        ("model", ONNX, "ends in nothing"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        inspect_file(write(tmp_path / name, content))
    assert str(tmp_path / name) in str(caught.value)


def symbolic(path: Path, real: Path) -> None:
    path.symlink_to(real)


def hard(path: Path, real: Path) -> None:
    path.hardlink_to(real)


def folder(path: Path, real: Path) -> None:
    path.mkdir()


def pipe(path: Path, real: Path) -> None:
    os.mkfifo(path)


def device(path: Path, real: Path) -> None:
    path.symlink_to("/dev/zero")


def missing(path: Path, real: Path) -> None:
    pass


def huge(path: Path, real: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (symbolic, "is a symbolic link; name the file itself"),
        (hard, r"has 2 names \(hard links\); copy it with `cp`"),
        (folder, "is no regular file"),
        (pipe, "is no regular file"),
        (device, "is a symbolic link"),
        (missing, "can't be read: No such file"),
        (huge, "has 2000000001 bytes; 2000000000 is the most"),
    ],
)
def test_what_is_no_file_of_its_own_is_refused(tmp_path: Path, make: Callable[[Path, Path], None], says: str) -> None:
    real = write(tmp_path / "real.bin", ONNX)
    make(tmp_path / "model.onnx", real)
    with pytest.raises(SpecError, match=says):
        inspect_file(tmp_path / "model.onnx")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("model.onnx")
        with pytest.raises(SpecError, match="can't be read"):
            inspect_file(Path("model.onnx"))


def test_external_data_beside_the_file_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(ONNX)
    onnx.save(model, tmp_path / "split.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(SpecError, match=r"external data.*onnx\.save\(onnx\.load\(PATH\), NEW_PATH\)"):
        inspect_file(tmp_path / "split.onnx")


def model_with_inputs(**shapes: list[int | str | None]) -> bytes:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in shapes]
    outputs = [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None) for name in shapes]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs)).SerializeToString()


def test_inputs_that_are_no_numbers_are_for_the_runtime_to_judge(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["words"], ["y"])], "g",
        [helper.make_tensor_value_info("words", TensorProto.STRING, [4])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [4])],
    )  # fmt: skip
    info = inspect_file(write(tmp_path / "words.onnx", helper.make_model(graph).SerializeToString()))
    assert info.inputs == (ModelInput("words", (4,), "string"),)


def test_a_thousand_inputs_with_long_names(tmp_path: Path) -> None:
    names = [f"{'layer/' * 600}{number}" for number in range(1000)]
    info = inspect_file(write(tmp_path / "m.onnx", model_with_inputs(**{name: ["n", 2] for name in names})))
    shapes = dict.fromkeys(names, (3, 2))
    assert [i.name for i in resolve_inputs(info, shapes)] == names


@pytest.mark.parametrize(
    ("name", "says"), [("x" * 4097, "input 0 has a name of more than 4096 characters"), ("a\0b", "with a NUL character")]
)
def test_a_name_that_no_command_may_hold_is_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(SpecError, match=rf"m\.onnx: {says}|m\.onnx: .*{says}"):
        inspect_file(write(tmp_path / "m.onnx", model_with_inputs(**{name: [1]})))


def test_more_inputs_than_a_command_may_hold_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", model_with_inputs(**{f"x{number}": [1] for number in range(4097)}))
    with pytest.raises(SpecError, match=r"m\.onnx: has 4097 inputs; 4096 is the most"):
        inspect_file(path)


def test_an_empty_cache_is_a_shape(tmp_path: Path, dynamic: ModelInfo) -> None:
    info = inspect_file(write(tmp_path / "s.onnx", model_with_inputs(past=[1, 0, 64])))
    assert info.inputs == (ModelInput("past", (1, 0, 64), "float32"),)
    assert resolve_inputs(info, {}) == ()
    assert resolve_inputs(dynamic, {"x": (0, 3, 48, 320), "r": (0,)})[0] == InputShape("x", (0, 3, 48, 320), "float32")


@pytest.mark.parametrize("names", [["", ""], ["x", "x"], [None, None]])
def test_inputs_without_a_name_of_their_own_are_meant_by_position(tmp_path: Path, names: list[str | None]) -> None:
    path = write(tmp_path / "m.tflite", tflite_kit.of_two_inputs(names, signature=[-1, 4]))
    info = inspect_file(path)
    assert [i.name for i in info.inputs] == ["#0", "#1"]
    assert [i.shape for i in resolve_inputs(info, {"#0": (2, 4), "#1": (2, 4)})] == [(2, 4), (2, 4)]


def test_a_model_that_declares_40_gb_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "large.onnx", model_with_inputs(x=[100_000, 100_000]))
    with pytest.raises(SpecError, match="at least 40000000000 bytes"):
        inspect_file(path)


@pytest.fixture
def dynamic(tmp_path: Path) -> ModelInfo:
    return inspect_file(write(tmp_path / "d.onnx", model_with_inputs(x=["n", 3, "h", 320], mask=[1, 8], r=None)))


def test_dynamic_inputs_must_be_set_and_the_error_shows_how(dynamic: ModelInfo) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_inputs(dynamic, {})
    text = str(caught.value)
    assert "d.onnx: the shape of x float32[?, 3, ?, 320], r float32[...] is dynamic" in text
    assert "`inputs: {x: [1, 3, 224, 320], r: [1, 3, 224, 224]}`" in text


def test_resolved_inputs_are_all_inputs(dynamic: ModelInfo) -> None:
    assert resolve_inputs(dynamic, {"x": (1, 3, 48, 320), "r": (5,)}) == (
        InputShape("x", (1, 3, 48, 320), "float32"),
        InputShape("mask", (1, 8), "float32"),
        InputShape("r", (5,), "float32"),
    )


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"x": (1, 3, 48, 320)}, r"the shape of r float32\[...\] is dynamic"),
        ({"x": (1, 4, 48, 320), "r": (1,)}, r"inputs.x \[1, 4, 48, 320\] contradicts the file.*\[\?, 3, \?, 320\]"),
        ({"x": (1, 3, 48), "r": (1,)}, "contradicts the file"),
        ({"x": (1, 3, -1, 320), "r": (1,)}, "each 0 or more"),
        ({"x": (1, 3, 48, 320), "r": (1,) * 33}, "at most 32 dimensions"),
        ({"x": (1000, 3, 100_000, 320), "r": (1,)}, "bytes; 2147483648 is the most"),
        ({"x": (1, 3, 48, 320), "r": (1,), "mask": (1, 9)}, "inputs.mask .* contradicts"),
        ({"X": (1, 3, 48, 320)}, "has no input 'X'; its inputs are x, mask, r"),
    ],
)
def test_shapes_that_do_not_fit(dynamic: ModelInfo, shapes: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        resolve_inputs(dynamic, shapes)


def test_the_shape_of_a_static_input_may_be_repeated_and_changes_nothing(tmp_path: Path) -> None:
    info = inspect_file(write(tmp_path / "s.onnx", model_with_inputs(x=[1, 8])))
    assert resolve_inputs(info, {"x": (1, 8)}) == ()


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=1, max_size=5),
    st.lists(st.integers(-2, 50), min_size=1, max_size=5),
)
def test_what_is_resolved_agrees_with_the_file(declared: list[int | None], wanted: list[int]) -> None:
    info = ModelInfo(Path("m.onnx"), "onnx", "0" * 64, 1, (ModelInput("x", tuple(declared), "float32"),))
    try:
        resolved = resolve_inputs(info, {"x": tuple(wanted)})
    except SpecError:
        fits = len(wanted) == len(declared) and all(o in (None, w) for o, w in zip(declared, wanted, strict=True))
        assert not fits or min(wanted) < 0
    else:
        assert [i.shape for i in resolved] == ([tuple(wanted)] if None in declared else [])


@given(st.sampled_from([".onnx", ".tflite"]), st.one_of(st.binary(max_size=300), st.sampled_from([ONNX, TFLITE])), st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_file_holds_only_spec_errors_come_out(
    tmp_path: Path, suffix: str, content: bytes, data: st.DataObject
) -> None:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4)) if content else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    path = write(tmp_path / f"fuzz{suffix}", bytes(changed))
    try:
        info = inspect_file(path)
        resolve_inputs(info, {})
        feeding(info, Asked(tmp_path))
    except SpecError as error:
        assert str(path) in str(error)


def test_inspecting_imports_no_runtime_and_not_even_onnx(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", ONNX)
    script = (
        "import sys; from pathlib import Path; from lutfarm_jobs.models.inspect import inspect_file; "
        f"inspect_file(Path({str(path)!r})); "
        "print([n for n in ('onnx', 'onnxruntime', 'ai_edge_litert', 'tflite_runtime') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_shape_for_many_files_leaves_those_that_are_closed_as_they_are(tmp_path: Path) -> None:
    """`inputs` over a glob: one file is open, one closed with that shape, one closed with another."""
    write(tmp_path / "open.onnx", model_with_inputs(x=[None, 3, None, None]))
    write(tmp_path / "same.onnx", model_with_inputs(x=[1, 3, 64, 64]))
    write(tmp_path / "other.onnx", model_with_inputs(x=[1, 3, 32, 32]))
    for files, shapes in (
        (["*.onnx"], [(1, 3, 64, 64), (), ()]),  # by name: open, other, same
        (["other.onnx", "open.onnx"], [(), (1, 3, 64, 64)]),
    ):
        spec = job_of(files, {"x": [1, 3, 64, 64]})
        found = load(spec, tmp_path)
        assert [model.inputs[0].shape if model.inputs else () for model in found] == shapes
    with pytest.raises(SpecError, match=r"other\.onnx: inputs.x .* contradicts the file"):
        load(job_of(["other.onnx"], {"x": [1, 3, 64, 64]}), tmp_path)


def job_of(models: list[str], inputs: dict[str, list[int]]) -> ModelsWorkload:
    spec = parse_job(
        {
            "name": "j",
            "workloads": [{"models": models, "inputs": inputs}],
            "devices": ["desk"],
            "backends": [{"runtime": "onnxruntime"}],
        },
        source="job",
    )
    found = spec.workloads[0]
    assert isinstance(found, ModelsWorkload)
    return found


def load(workload: ModelsWorkload, folder: Path) -> tuple[ModelFile, ...]:
    return model_files(workload, folder, where="workloads[0]")
