"""The onnx package's own backend tests as files: its wheel holds some, and the code that makes the others.

A case is a folder with `model.onnx` and the inputs that come with it in `test_data_set_0`.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.model import collect_testcases
from onnx.backend.test.loader import load_node_model_tests

SHIPPED = ("pytorch-converted", "pytorch-operator", "simple")


def write(folder: Path, *, every: int = 1) -> int:
    """Writes each n-th case; returns how many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases divide by zero on purpose
        made = [*load_node_model_tests(), *(case for case in collect_testcases() if case.kind != "real")]
    chosen = sorted(made, key=lambda case: (case.kind, case.name))[::every]
    for case in chosen:
        _write_case(folder / case.kind / case.name, case.model, case.data_sets[0][0])
    shipped = Path(onnx.__file__).parent / "backend" / "test" / "data"
    copied = sorted(path.parent for kind in SHIPPED for path in (shipped / kind).glob("*/model.onnx"))[::every]
    for case in copied:
        shutil.copytree(case, folder / case.parent.name / case.name, dirs_exist_ok=True)
    return len(list(folder.glob("*/*/model.onnx")))


def _write_case(folder: Path, model: onnx.ModelProto, inputs: Sequence[Any]) -> None:
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    # some initializers are declared as inputs, behind those that are fed
    for position, (declared, value) in enumerate(zip(model.graph.input, inputs, strict=False)):
        (data / f"input_{position}.pb").write_bytes(_proto(declared, value).SerializeToString())


def _proto(declared: onnx.ValueInfoProto, value: Any) -> Any:
    """An input as onnx.backend.test.cmd_tools writes it."""
    if isinstance(value, TensorProto):
        return value
    if declared.type.HasField("map_type"):
        return numpy_helper.from_dict(value, declared.name)
    if declared.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, declared.name)
    if declared.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, declared.name)
    return numpy_helper.from_array(value, declared.name)
