"""Small graphs of every layer, and both runtimes run on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lutfarm_jobs.graphs.evaluate import input_values
from lutfarm_jobs.graphs.graph import Graph, Tensor

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

Make = Callable[[Graph], Tensor]


def graph(make: Make, *, channels: int = 8, size: int = 9, name: str = "small") -> Graph:
    """What `make` appends, as a whole graph over (1, channels, size, size)."""
    empty = Graph(name, (1, channels, size, size))
    return empty.finish(make(empty))


def squeeze_excite(g: Graph) -> Tensor:
    """MobileNetV3's gate, from convolutions."""
    gate = g.convolution(g.global_average_pool(g.input), 4, activation="relu")
    return g.multiply(g.input, g.convolution(gate, g.input_shape[1], activation="h_sigmoid"))


def gated_by_fully_connected(g: Graph) -> Tensor:
    """The same gate from a fully connected layer: (1, channels) must become four-dimensional again."""
    gate = g.fully_connected(g.global_average_pool(g.input), g.input_shape[1], activation="h_sigmoid")
    return g.multiply(g.input, gate)


def two_fully_connected(g: Graph) -> Tensor:
    """A classifier behind another."""
    return g.fully_connected(g.fully_connected(g.global_average_pool(g.input), 5, activation="relu"), 7)


ACTIVATIONS = ("relu", "relu6", "h_swish", "h_sigmoid")
SMALL: dict[str, Make] = {
    "conv1x1": lambda g: g.convolution(g.input, 6),
    "conv3x3_stride2": lambda g: g.convolution(g.input, 6, kernel=3, stride=2, activation="relu"),
    "conv5x5_stride2": lambda g: g.convolution(g.input, 6, kernel=5, stride=2),
    "conv1x1_stride2": lambda g: g.convolution(g.input, 6, stride=2, activation="relu"),
    "grouped1x1": lambda g: g.convolution(g.input, 12, groups=2, activation="relu"),
    "depthwise3x3": lambda g: g.convolution(g.input, 8, kernel=3, groups=8, activation="relu6"),
    "depthwise7x7_stride2": lambda g: g.convolution(g.input, 8, kernel=7, stride=2, groups=8),
    "channel_shuffle": lambda g: g.channel_shuffle(g.input, 2),
    "average_pool": lambda g: g.average_pool(g.input, kernel=3, stride=1),
    "average_pool_stride2": lambda g: g.average_pool(g.input, kernel=3, stride=2),
    "max_pool": lambda g: g.max_pool(g.input, kernel=3, stride=2),
    "global_average_pool": lambda g: g.global_average_pool(g.input),
    "add": lambda g: g.add(g.convolution(g.input, 8), g.input),
    "add_to_itself": lambda g: g.add(g.input, g.input),
    "squeeze_excite": squeeze_excite,
    "gated_by_fully_connected": gated_by_fully_connected,
    "two_fully_connected": two_fully_connected,
    "zero": lambda g: g.zero(g.input),
    "scale_shift": lambda g: g.scale_shift(g.input),
    "scale_shift_relu": lambda g: g.scale_shift(g.input, activation="relu"),
    "scale_shift_h_swish": lambda g: g.scale_shift(g.input, activation="h_swish"),
    **{f"activation_{a}": lambda g, a=a: g.activation(g.input, a) for a in ACTIVATIONS},
    **{f"conv3x3_{a}": lambda g, a=a: g.convolution(g.input, 6, kernel=3, activation=a) for a in ACTIVATIONS},
    **{f"pool_then_{a}": lambda g, a=a: g.activation(g.average_pool(g.input, kernel=2, stride=2), a)
       for a in ACTIVATIONS},
    **{f"fully_connected_{a}": lambda g, a=a: g.fully_connected(g.global_average_pool(g.input), 7, activation=a)
       for a in ACTIVATIONS},
}  # fmt: skip


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference relative to the largest value."""
    return float(np.abs(found.reshape(wanted.shape) - wanted).max() / (np.abs(wanted).max() or 1.0))


def onnx_session(model: bytes | Path) -> Any:
    """onnxruntime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def tflite_interpreter(model: bytes) -> Any:
    """LiteRT, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def run_onnxruntime(model: bytes, values: np.ndarray) -> np.ndarray:
    """One inference."""
    return onnx_session(model).run(["output"], {"input": values})[0]


def run_tflite(model: bytes, values: np.ndarray) -> np.ndarray:
    """One inference; NCHW in and out."""
    interpreter = tflite_interpreter(model)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values.transpose(0, 2, 3, 1))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy()
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def run_onnx_reference(model: bytes, values: np.ndarray) -> np.ndarray:
    """onnx's own evaluator."""
    from onnx.reference import ReferenceEvaluator

    result: Any = ReferenceEvaluator(model).run(None, {"input": values})
    return result[0]


def values_for(g: Graph) -> np.ndarray:
    """The input that the runner draws."""
    return input_values(g.input_shape)
