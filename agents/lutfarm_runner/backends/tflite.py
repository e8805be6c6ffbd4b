"""TensorFlow Lite on the CPU: ai-edge-litert, or its predecessor tflite-runtime."""
# neither ships types, and one of them is missing wherever this is checked
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import base64
from typing import Any, List, Optional

import numpy as np

from lutfarm_runner.backends.arrays import inputs, outputs, tensors
from lutfarm_runner.call_floor import call_floor_ns
from lutfarm_runner.commands import Workload, called
from lutfarm_runner.wire import Refused

# One RELU over four numbers: what a call costs that computes nothing.
RELU = base64.b64decode(
    "CAAAAFRGTDPC////FAAAACAAAAAoAAAADAEAAAMAAAABAAAACAAAAAQABAAEAAAABwAAAGx1dGZhcm0AAQAAABQAAAAAAA4A"
    "GAAUABAADAAIAAQADgAAABQAAAAYAAAARAAAAEgAAABMAAAAAQAAAHQAAAABAAAAEAAAAAAACgAMAAAACAAEAAoAAAAIAAAA"
    "DAAAAAEAAAABAAAAAQAAAAAAAAABAAAAAQAAAAEAAAAAAAAAAgAAAEAAAAAEAAAA1P///wgAAAAQAAAABgAAAG91dHB1dAAA"
    "BAAAAAEAAAABAAAAAQAAAAQAAAAMAAwACAAAAAAABAAMAAAACAAAABAAAAAFAAAAaW5wdXQAAAAEAAAAAQAAAAEAAAABAAAA"
    "BAAAAAEAAAAQAAAADAAMAAsAAAAAAAQADAAAABMAAAAAAAAT"
)


class TfliteModel:
    """An interpreter with its inputs set."""

    unbound = ""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        # 0.50 us for four numbers; the private call below it 0.32.  The public one is what everyone measures with.
        self.run = interpreter.invoke

    def feed(self, workload: Workload) -> None:
        made = inputs.Inputs(workload)
        held = np.load(workload.values, allow_pickle=False) if workload.values else {}
        details = self._interpreter.get_input_details()
        for name, detail in zip(called([detail["name"] for detail in details]), details):  # noqa: B905  3.9
            shape = [int(size) for size in detail["shape"]]
            fill = inputs.fill_of(workload, name)
            in_file = fill if fill is not None and fill.kind == "file" else None
            value = held[f"v{in_file.at}"] if in_file else made.make(shape, detail["dtype"], fill)
            self._interpreter.set_tensor(detail["index"], value)

    def bind_outputs(self) -> None:
        """Outputs stay where the interpreter put them."""

    def outputs(self) -> List[Any]:
        details = self._interpreter.get_output_details()
        return [row for detail in details for row in outputs.rows(self._interpreter.get_tensor(detail["index"]))]

    def reset(self) -> None:
        """See Model.reset: variable tensors, such as the state of a streaming network; not what resource variables hold."""
        self._interpreter.reset_all_variables()


class Tflite(tensors.NumpyBackend):
    """The imported runtime."""

    def __init__(self, interpreter: Any, threads: int) -> None:
        self._interpreter = interpreter
        self._threads = threads
        self.floor_ns: Optional[int] = None

    def warm(self) -> None:
        """Build one interpreter, learn what an empty call costs, and drop it."""
        interpreter = self._interpreter(model_content=RELU, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        self.floor_ns = call_floor_ns(interpreter.invoke)

    def load(self, workload: Workload) -> TfliteModel:
        interpreter = self._interpreter(model_path=workload.path, num_threads=self._threads)
        details = interpreter.get_input_details()
        names = called([detail["name"] for detail in details])
        inputs.check_names(names, workload.inputs)
        for name, detail in zip(names, details):  # noqa: B905  3.9
            own = [None if size < 0 else int(size) for size in detail.get("shape_signature", detail["shape"])]
            shape = inputs.concrete_shape(name, own, workload.inputs)
            if shape != [int(size) for size in detail["shape"]]:
                interpreter.resize_tensor_input(detail["index"], shape, strict=True)
        interpreter.allocate_tensors()
        return TfliteModel(interpreter)


def open_backend(threads: int) -> Tflite:
    """Import whichever is there.  Raises ImportError where none is, Refused where its numpy does not fit."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter

        if int(np.__version__.split(".")[0]) >= 2:
            raise Refused(
                "NotReady", f"tflite_runtime needs numpy 1.26 and finds {np.__version__}; install numpy==1.26.4 there"
            ) from None
    return Tflite(Interpreter, threads)
