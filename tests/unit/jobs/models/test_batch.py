"""How many samples a model file takes at once is read from it; what it does not tell is left open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from tests.made_models_kit import F32, Node, Op, model, node, tflite

from lutfarm_jobs.models.batch import NO_BATCH, batch_of, onnx_leads, tflite_leads


@pytest.mark.parametrize(
    ("shapes", "leads", "expected"),
    [
        ([(8, 64)], (8,), 8),
        ([(1, 3, 224, 224)], (), 1),
        ([(8, 3, 32, 32), (8, 10)], (None,), 8),
        ([(8, 3), ()], (8,), 8),  # a scalar has no say
        ([(1, 128), (1,)], (1,), 1),  # ids, and a length for each sample
        ([(1, 512), (2, 1, 128)], (1,), None),  # a state of two layers
        ([(224, 224, 3)], (1000,), None),  # an image without a batch
        ([(16000,)], (1,), None),  # sound
        ([(16000,)], (16000,), None),
        ([()], (), None),
        ([], (4,), None),
        ([(0, 64)], (0,), None),
        ([(10, 2, 3)], (10, NO_BATCH), None),  # ten steps of two samples
    ],
)
def test_the_batch_is_what_all_inputs_begin_with(
    shapes: list[tuple[int, ...]], leads: tuple[int | None, ...], expected: int | None
) -> None:
    assert batch_of(shapes, leads) == expected


def test_what_outputs_begin_with_is_read_as_far_as_it_is_declared() -> None:
    outputs = [
        helper.make_tensor_value_info(name, T.FLOAT, shape)
        for name, shape in (("a", [8, 2]), ("b", ["n", 2]), ("c", []), ("d", None), ("e", [0]))
    ]
    graph = helper.make_graph([], "g", [], outputs)
    assert onnx_leads(memoryview(helper.make_model(graph).SerializeToString())) == (8, None, None)
    assert tflite_leads(memoryview(tflite([(Op.RELU, [0], [1])], [F32, F32]))) == (8,)
    assert onnx_leads(memoryview(b"\x3a\xff")) == ()


@pytest.mark.parametrize(
    ("nodes", "no_batch"),
    [
        ([node("LSTM", "x w r", "y", hidden_size=4)], True),
        ([node("Identity", "x", "i"), node("GRU", "i w r", "y", hidden_size=4, layout=0)], True),
        ([node("GRU", "x w r", "y", hidden_size=4, layout=1)], False),
        ([node("Relu", "x", "i"), node("LSTM", "i w r", "y", hidden_size=4)], False),  # whatever i is by now
        ([node("Transpose", "x", "i", perm=[1, 0, 2]), node("LSTM", "i w r", "y", hidden_size=4)], False),
        ([node("ReverseSequence", "x l", "y", time_axis=0, batch_axis=1)], True),
        ([node("ReverseSequence", "x l", "y", time_axis=1, batch_axis=0)], False),
        ([node("Unsqueeze", "x", "i", axes=[0]), node("Conv", "i w", "y")], True),  # one image
        ([node("Unsqueeze", "x zero", "i"), node("Conv", "i w", "y")], True),
        ([node("Unsqueeze", "x one", "i"), node("Conv", "i w", "y")], False),
        ([node("Unsqueeze", "x somewhere", "i"), node("Conv", "i w", "y")], False),
    ],
)
def test_a_first_axis_that_is_time_or_a_channel_is_no_batch(nodes: list[Node], no_batch: bool) -> None:
    axes = [numpy_helper.from_array(np.array([at]), name) for at, name in enumerate(("zero", "one"))]
    assert onnx_leads(memoryview(model(nodes, *axes))) == ((NO_BATCH,) if no_batch else ())


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize(
    ("code", "options"),
    [
        (Op.UNIDIRECTIONAL_SEQUENCE_RNN, schema.SequenceRNNOptionsT),
        (Op.BIDIRECTIONAL_SEQUENCE_RNN, schema.BidirectionalSequenceRNNOptionsT),
        (Op.UNIDIRECTIONAL_SEQUENCE_LSTM, schema.UnidirectionalSequenceLSTMOptionsT),
        (Op.BIDIRECTIONAL_SEQUENCE_LSTM, schema.BidirectionalSequenceLSTMOptionsT),
    ],
)
def test_a_tflite_files_sequence_may_have_its_time_first(code: int, options: Any, time_major: bool) -> None:
    content = tflite([(code, [0, 1, 1, 1, 1], [2])], [F32, F32, F32], constants=[1], options=options(timeMajor=time_major))
    assert tflite_leads(memoryview(content)) == ((8, NO_BATCH) if time_major else (8,))
