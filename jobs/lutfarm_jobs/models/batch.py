"""How many samples one inference of a model file takes: the leading dimension that all its inputs share."""

from __future__ import annotations

from collections.abc import Sequence

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.first_axis import no_batch_in_onnx, no_batch_in_tflite
from lutfarm_jobs.models.onnx.protobuf import fields, nested, number
from lutfarm_jobs.models.tflite.reader import root

Leads = tuple[int | None, ...]
"""The leading dimension of each output that has one; None where the file leaves it open; NO_BATCH: an input begins otherwise."""
NO_BATCH = 0


def batch_of(shapes: Sequence[Sequence[int]], output_leads: Leads) -> int | None:
    """The batch; None where it can't be told.

    Tensors without dimensions have no say.  Of one-dimensional inputs alone nothing is told: 16,000 samples of sound are
    no batch of 16,000; nor where an output begins with another dimension than the inputs, nor where an input begins with time.
    """
    leads = {shape[0] for shape in shapes if shape}
    if len(leads) != 1 or not any(len(shape) > 1 for shape in shapes):
        return None
    (batch,) = leads
    return batch if batch > 0 and all(lead in (None, batch) for lead in output_leads) else None


def onnx_leads(content: memoryview) -> Leads:
    """Of the outputs that an .onnx file declares with a shape; none where that can't be read."""
    budget = Budget()
    try:
        graphs = _inside([content], 7, budget)
        declared = tuple(
            lead
            for kind in _inside(_inside(_inside(graphs, 12, budget), 2, budget), 1, budget)
            for shape in _inside([kind], 2, budget)
            for lead in _first_size(shape, budget)
        )
        return (*declared, NO_BATCH) if any(no_batch_in_onnx(graph, budget) for graph in graphs) else declared
    except Malformed:
        return ()


def _inside(messages: Sequence[memoryview], field_number: int, budget: Budget) -> list[memoryview]:
    """The messages in a field of messages."""
    return [nested(value) for message in messages for at, value in fields(message, budget) if at == field_number]


def _first_size(shape: memoryview, budget: Budget) -> list[int | None]:
    dimensions = _inside([shape], 1, budget)
    if not dimensions:
        return []
    sizes = [number(value) for at, value in fields(dimensions[0], budget) if at == 1]
    return [sizes[-1] if sizes and sizes[-1] > 0 else None]


def tflite_leads(content: memoryview) -> Leads:
    """Of the outputs of a .tflite file's first graph, which `read_tflite` has passed."""
    model = root(content, Budget())
    codes = [max(code.integer(0, "<b"), code.integer(3, "<i")) for code in model.tables(1)]
    for graph in model.tables(2):
        tensors = [(tensor.integers(0, "<i"), tensor.integers(7, "<i")) for tensor in graph.tables(0)]
        outputs = [tensors[index] for index in graph.integers(2, "<i")]
        sizes = [signature if len(signature) == len(shape) else shape for shape, signature in outputs]
        declared = tuple(size[0] if size[0] > 0 else None for size in sizes if size)
        return (*declared, NO_BATCH) if no_batch_in_tflite(graph, codes) else declared
    return ()
