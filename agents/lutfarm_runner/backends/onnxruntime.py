"""ONNX Runtime on the CPU."""
# onnxruntime ships no types, and is not installed where this is checked
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from lutfarm_runner.backends.arrays import inputs, outputs, tensors
from lutfarm_runner.call_floor import call_floor_ns
from lutfarm_runner.commands import NO_WORKLOAD, Fill, Workload, called
from lutfarm_runner.workload_failure import Failed

NUMPY_OF = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
# Of tensors whose values numpy has no type for: how many bits an element has.
BITS_OF = {
    "tensor(bfloat16)": 16,
    "tensor(float8e4m3fn)": 8,
    "tensor(float8e4m3fnuz)": 8,
    "tensor(float8e5m2)": 8,
    "tensor(float8e5m2fnuz)": 8,
    "tensor(float8e8m0)": 8,
    "tensor(float4e2m1)": 4,
    "tensor(int4)": 4,
    "tensor(uint4)": 4,
    "tensor(int2)": 2,
    "tensor(uint2)": 2,
}
KERNEL = "_kernel_time"  # ends the event that a node's computation is
SETTLING = 3  # iterations of a fresh session that are left out
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
    """A session with everything bound once; one whose outputs can't be, is called as a plain session.run."""

    unbound = ""

    def __init__(self, ort: Any, session: Any) -> None:
        self._ort = ort
        self._session = session
        self._binding = binding = session.io_binding()
        self._feeds: Dict[str, Any] = {}  # by input; their memory is bound
        self._results: Optional[Sequence[Any]] = None  # of the last run, where outputs are not bound
        # 2.44 us for 4 bytes; a partial takes 2.53, the private call below it 2.06.  The public one is
        # what everyone else measures with.
        self.run: Callable[[], object] = lambda: session.run_with_iobinding(binding)

    def feed(self, workload: Workload) -> None:
        metas = self._session.get_inputs()
        names = called([meta.name for meta in metas])
        inputs.check_names(names, workload.inputs)
        made = inputs.Inputs(workload)
        held = held_values(self._ort, workload.values) if workload.values else []
        for name, meta in zip(names, metas):  # noqa: B905  3.9
            fill = inputs.fill_of(workload, name)
            if fill is not None and fill.kind == "absent":
                self._feeds[meta.name] = None
                continue
            if fill is not None and fill.kind == "file":
                value = held[fill.at]
            else:
                value = self._made(meta, made, fill, inputs.concrete_shape(name, meta.shape, workload.inputs))
            self._feeds[meta.name] = value
            self._binding.bind_ortvalue_input(meta.name, value)
        declared = self._session.get_outputs()
        for meta in declared:
            self._binding.bind_output(meta.name, "cpu")
        absent = [name for name, value in self._feeds.items() if value is None]
        if absent:  # a binding can't hold it: the process would end
            self._unbind(f"input {absent[0]!r} has no value")
        for meta in declared:
            if not _stays(meta):
                self._unbind(f"output {meta.name!r} is a {meta.type}")
            elif workload.random and not _sizes_of(meta):
                self._unbind(f"the size of output {meta.name!r} may depend on chance")

    def _made(self, meta: Any, made: inputs.Inputs, fill: Optional[Fill], shape: List[int]) -> Any:
        if meta.type not in NUMPY_OF:
            raise Failed("WorkloadFailed", f"input {meta.name!r} is a {meta.type}: nothing can be made up for it")
        return self._ort.OrtValue.ortvalue_from_numpy(made.make(shape, NUMPY_OF[meta.type], fill), "cpu", 0)

    def _unbind(self, why: str) -> None:
        """Every iteration puts its outputs where the runtime likes.

        A binding keeps what the first run put out and takes it for the place of the next run's output: of another shape than
        declared it is refused, sequences and texts grow for ever, and an empty optional ends the process.
        """
        self.unbound = why[:200]
        session, feeds = self._session, self._feeds
        call = session.run if all(_is_known(meta) for meta in session.get_outputs()) else session.run_with_ort_values
        names = [meta.name for meta in session.get_outputs()]

        def run() -> object:
            self._results = call(names, feeds)
            return None

        self.run = run

    def bind_outputs(self) -> None:
        """See Model.bind_outputs.  A declared shape is a hint, and a wrong one keeps its output from being bound."""
        if self._results is not None:
            return
        declared, values = self._session.get_outputs(), self._binding.get_outputs()
        pairs = list(zip(declared, values))  # noqa: B905  3.9
        for meta, value in pairs:
            self._binding.bind_ortvalue_output(meta.name, value)
        others = [(meta, value) for meta, value in pairs if not _fits(meta.shape, value.shape())]
        if others and not self._runs_bound():
            meta, value = others[0]
            self._results = values
            self._unbind(f"output {meta.name!r} is declared as {list(meta.shape)} and is {list(value.shape())}")

    def _runs_bound(self) -> bool:
        """Whether outputs whose shapes are not as declared can be bound all the same: an unknown rank looks like no rank."""
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception:  # noqa: BLE001  a vendor's exceptions have no common root; this one is the answer
            return False
        return True

    def outputs(self) -> List[Any]:
        values = self._binding.get_outputs() if self._results is None else self._results
        return [row for value in values for row in self._rows(value)]

    def _rows(self, value: Any) -> List[Any]:
        if not isinstance(value, self._ort.OrtValue):
            return list(outputs.rows(value))
        width = BITS_OF.get(value.data_type())
        if width is None:
            return list(outputs.rows(value.numpy()))
        count = math.prod(value.shape())
        data = ctypes.string_at(value.data_ptr(), (count * width + 7) // 8) if count else b""
        if width == 8:
            return [outputs.from_float8(data, value.data_type()[len("tensor(") : -1])]
        return [outputs.from_bfloat16(data) if width == 16 else outputs.bits(data, count, width)]

    def reset(self) -> None:
        """Nothing: a session keeps no state but that of its random numbers, which can't be put back."""


def _stays(meta: Any) -> bool:
    """Whether a second run may put an output where the first did: StringConcat appends to what it finds there."""
    return meta.type.startswith("tensor(") and meta.type != "tensor(string)"


def _is_known(meta: Any) -> bool:
    """Whether session.run can hand it out: it knows no numpy type for some tensors."""
    return meta.type not in BITS_OF


def _sizes_of(meta: Any) -> bool:
    """Whether all sizes are declared as numbers."""
    return all(isinstance(size, int) for size in meta.shape)


def _fits(declared: Sequence[Any], shape: Sequence[int]) -> bool:
    """Whether an output has the shape that the model declares; a name or None is any size."""
    same = zip(declared, shape)  # noqa: B905  3.9
    return len(declared) == len(shape) and all(own == size for own, size in same if isinstance(own, int))


class ProfiledModel(OrtModel):
    """A session under onnxruntime's own profiler, which writes a file when it ends."""

    def __init__(self, ort: Any, session: Any, folder: str) -> None:
        super().__init__(ort, session)
        self._folder = folder

    def __call__(self) -> object:
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
            {"name": name, "operator": operator, "count": len(spans[SETTLING:]), "lower_mean_ns": lower_mean_ns(spans[SETTLING:])}
            for (name, operator), spans in found.items()
            if spans[SETTLING:]
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
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # on by default from 1.29
    import onnxruntime as ort

    return OnnxRuntime(ort, threads)
