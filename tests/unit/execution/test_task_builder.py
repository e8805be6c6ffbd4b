"""What a device needs of a measurement, where it can't be built."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from lutfarm.execution.task_builder import TaskBuilder
from lutfarm_jobs import models
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.sources import Sources

KEY = "conv_H8_W8_Cin4_Cout6_k1_s1_g1_relu"


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (Workload("operator", KEY), f"^{KEY}: .* too little memory to build its model, of 2,680 bytes; leave it out"),
        (Workload("file", "big.onnx@ab", "ab" * 32), "^big.onnx@ab: .* too little memory to build its model; leave it out"),
    ],
)
def test_a_model_that_does_not_fit_into_memory_is_the_jobs_fault_and_named_with_its_size(
    workload: Workload, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(models, "build", full)
    monkeypatch.setattr(models, "import_file", full)
    builder = TaskBuilder(Path("models"), Sources({}, {}))
    monkeypatch.setattr(builder, "_paths", {"ab" * 32: Path("big.onnx")})
    with pytest.raises(SpecError, match=said):
        builder.task(Measurement(workload, "desk", Backend("onnxruntime")), None)
