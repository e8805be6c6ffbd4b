"""ONNX Runtime on the CPU."""
# onnxruntime ships no types, and is not installed where this is checked
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from lutfarm_runner.backends import Failed, call_floor_ns, inputs, tensors
from lutfarm_runner.commands import NO_WORKLOAD, Fill, Workload

NUMPY_OF = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64", "tensor(bool)": "bool",
}
KERNEL = "_kernel_time"                            # ends the event that a node's computation is
SETTLING = 3                                       # iterations of a fresh session that are left out
# y = Identity(x), opset 13.  A process's first session costs 20 ms and 20 MB of shared pages, whatever the
# model; this one pays them before anything is forked or timed.
IDENTITY = (
    b'\x08\x07\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def held_values(ort: Any, path: str) -> List[Any]:
    """What a values file holds: a model without inputs whose outputs they are, so that they can be of any type."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for meta in session.get_outputs():
        binding.bind_output(meta.name, "cpu")
    session.run_with_iobinding(binding)
    return list(binding.get_outputs())


class OrtModel:
    """A session with everything bound once."""

    def __init__(self, ort: Any, session: Any) -> None:
        self._ort = ort
        self._session = session
        self._binding = binding = session.io_binding()
        self._feeds: List[Any] = []                # their memory is bound
        # 2.44 us for 4 bytes; a partial takes 2.53, the private call below it 2.06.  The public one is
        # what everyone else measures with.
        self.run = lambda: session.run_with_iobinding(binding)

    def feed(self, workload: Workload) -> None:
        """See Model.feed."""
        metas = self._session.get_inputs()
        inputs.check_names([meta.name for meta in metas], workload.inputs)
        made = inputs.Inputs(workload)
        held = held_values(self._ort, workload.values) if workload.values else []
        for position, meta in enumerate(metas):
            fill = inputs.fill_of(workload, meta.name, position)
            if fill is not None and fill.kind == "file":
                value = held[fill.at]
            else:
                value = self._made(meta, made, fill, inputs.concrete_shape(meta.name, meta.shape, workload.inputs, position))
            self._feeds.append(value)
            self._binding.bind_ortvalue_input(meta.name, value)
        for meta in self._session.get_outputs():
            self._binding.bind_output(meta.name, "cpu")

    def _made(self, meta: Any, made: inputs.Inputs, fill: Optional[Fill], shape: List[int]) -> Any:
        if meta.type not in NUMPY_OF:
            raise Failed("WorkloadFailed", f"input {meta.name!r} is a {meta.type}: nothing can be made up for it")
        return self._ort.OrtValue.ortvalue_from_numpy(made.make(shape, NUMPY_OF[meta.type], fill), "cpu", 0)

    def outputs(self) -> List[Any]:
        """See Model.outputs.  Sequences, maps and strings are left out."""
        values = (value for value in self._binding.get_outputs() if value.is_tensor())
        rows = (tensors.flat(value.numpy()) for value in values if value.data_type() != "tensor(string)")
        return [row for row in rows if row is not None]

    def bind_outputs(self) -> None:
        """From the first run on, outputs go where that run put them."""
        for meta, value in zip(self._session.get_outputs(), self._binding.get_outputs()):  # noqa: B905  3.9
            if value.is_tensor() and value.data_type() != "tensor(string)":
                self._binding.bind_ortvalue_output(meta.name, value)


class ProfiledModel(OrtModel):
    """A session under onnxruntime's own profiler, which writes a file when it ends."""

    def __init__(self, ort: Any, session: Any, folder: str) -> None:
        super().__init__(ort, session)
        self._folder = folder

    def __call__(self) -> object:
        """One iteration."""
        return self.run()

    def nodes(self) -> List[Dict[str, object]]:
        """By node, in the order in which they ran: name, kind, count, mean of the lower half of the durations in ns.

        Durations are whole microseconds; the mean has more digits than any of them.  The first SETTLING iterations are
        left out.  Ends the profile.
        """
        path = self._session.end_profiling()
        try:
            events = json.loads(Path(path).read_text(encoding="utf-8"))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        found: Dict[Tuple[str, str], List[int]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
                place = event["name"][: -len(KERNEL)], str(event["args"].get("op_name", ""))
                found.setdefault(place, []).append(int(event["dur"]))
        return [
            {"name": name, "operator": operator, "count": len(spans[SETTLING:]), "level_ns": lower_mean_ns(spans[SETTLING:])}
            for (name, operator), spans in found.items() if spans[SETTLING:]
        ]


def lower_mean_ns(spans_us: List[int]) -> int:
    """The mean of the lower half of durations in microseconds, in ns."""
    ranked = sorted(spans_us)[: (len(spans_us) + 1) // 2]
    return round(1000 * sum(ranked) / len(ranked))


class OnnxRuntime(tensors.NumpyBackend):
    """The imported runtime with one kind of session."""

    def __init__(self, ort: Any, threads: int) -> None:
        self._ort = ort
        self._threads = threads
        self.floor_ns: Optional[int] = None

    def load(self, workload: Workload) -> OrtModel:
        """See Backend.load."""
        return self._open(workload.path, self._options(self._threads))

    def load_profiled(self, workload: Workload) -> ProfiledModel:
        """The same model under the profiler.  Raises whatever the vendor raises."""
        options = self._options(self._threads)
        options.enable_profiling = True
        folder = tempfile.mkdtemp(prefix="lutfarm-profile-")
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = self._ort.InferenceSession(workload.path, options, providers=["CPUExecutionProvider"])
        return ProfiledModel(self._ort, session, folder)

    def _options(self, threads: int) -> Any:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return options

    def warm(self) -> None:
        """Build one session without a thread pool, learn what an empty call costs, and drop it."""
        model = self._open(IDENTITY, self._options(1))
        model.feed(Workload(NO_WORKLOAD, "", "onnxruntime", 1))
        model.run()
        model.bind_outputs()
        self.floor_ns = call_floor_ns(model.run)

    def _open(self, source: Any, options: Any) -> OrtModel:
        session = self._ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return OrtModel(self._ort, session)


def open_backend(threads: int) -> OnnxRuntime:
    """Import it.  Raises ImportError where it is missing."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"      # on by default from 1.29
    import onnxruntime as ort

    return OnnxRuntime(ort, threads)
