"""Interpreters whose runtime is missing, broken or of the wrong kind: NotReady, and the reason."""

from __future__ import annotations

import sys
import venv

import pytest

CRASH = "import os\nos.abort()\n"
NUMPY_2 = {"numpy.py": "__version__ = '2.4.0'\nfloat32 = None\n"}
NUMPY_1 = {"numpy.py": "__version__ = '1.26.4'\nfloat32 = None\n"}
TFLITE = {"tflite_runtime/__init__.py": "", "tflite_runtime/interpreter.py": "class Interpreter: pass\n"}


@pytest.fixture
def interpreter(tmp_path):
    """Makes an interpreter that finds these modules and no others."""

    def make(files):
        folder = tmp_path / "venv"
        venv.create(folder, symlinks=True)
        packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        for name, content in files.items():
            (packages / name).parent.mkdir(exist_ok=True)
            (packages / name).write_text(content)
        return str(folder / "bin" / "python")

    return make


@pytest.mark.parametrize(
    ("runtime", "files", "reason"),
    [
        ("onnxruntime", {}, "numpy"),
        ("onnxruntime", NUMPY_1, "No module named 'onnxruntime'"),
        ("onnxruntime", {**NUMPY_1, "onnxruntime.py": CRASH}, "SIGABRT"),
        ("onnxruntime", {**NUMPY_1, "onnxruntime.py": "raise ImportError('wrong libc')"}, "wrong libc"),
        ("onnxruntime", {**NUMPY_1, "onnxruntime.py": ""}, "is broken"),
        ("tflite", NUMPY_1, "tflite_runtime"),
        ("tflite", {**NUMPY_2, **TFLITE}, "needs numpy 1.26 and finds 2.4.0"),
        ("tflite", {**NUMPY_1, **TFLITE}, "is broken"),
    ],
)
@pytest.mark.parametrize("kind", ["probe", "round"])
def test_the_order_is_refused_with_the_reason(start, bench, interpreter, runtime, files, reason, kind):
    session = start(interpreter(files))
    order = getattr(bench, kind)({})
    order["workloads"] = [bench.workload(0, runtime=runtime)]
    if kind == "round":
        order["canary"]["runtime"] = runtime
    refused, done = session.ask(kind, **order)
    assert done == {"type": "done", "cancelled": False}
    assert reason in refused["detail"]
    if refused["type"] == "died":
        assert (kind, refused["id"]) == ("round", None)
    else:
        assert (refused["type"], refused["code"]) == ("error", "NotReady")
    simulated = session.ask("probe", **bench.probe({}))
    assert simulated[0]["iteration_ns"] > 0
