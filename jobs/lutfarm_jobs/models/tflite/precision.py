"""In what precision a .tflite file computes, read from its operators; see `lutfarm_jobs.precision` for what that means.

Weights that are dequantised when the model is loaded (float16 ones mostly) count as what the file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.tflite.reader import Table, root
from lutfarm_jobs.precision import Operand, Seen

ELEMENTS: Mapping[int, str] = {
    0: "fp32", 1: "fp16", 2: "int32", 3: "int8", 4: "int64", 7: "int16", 9: "int8", 10: "fp64", 16: "int16", 17: "int4",
    18: "bf16", 19: "int2", 20: "int4", 21: "fp8", 22: "fp8",
}  # fmt: skip
TABLE_FIRST = {7: 1}  # EMBEDDING_LOOKUP, whose first input are places in its second
DEQUANTIZE, QUANTIZE, CAST, CUSTOM = 6, 114, 53, 32
# The operators that do the work (schema: BuiltinOperator), with the inputs that they multiply.
WORKERS: Mapping[int, tuple[int, ...]] = {
    3: (0, 1), 4: (0, 1), 9: (0, 1), 67: (1, 2), 126: (0, 1), 132: (0, 1), 141: (1, 2),
    16: (0, 2, 6), 44: (0, 2, 6), 52: (0, 2, 6), 24: (0, 1, 2), 35: (0, 1, 2), 46: (0, 1, 2), 27: (0, 1, 2),
    171: (0, 1), 197: (0, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tensor:
    stored: str
    is_constant: bool
    has_scale: bool


def tflite_precision(content: memoryview) -> str:
    """The label; empty where the file does not tell.  For a file that `read_tflite` has passed."""
    seen = Seen()
    try:
        model = root(content, Budget())
        filled = [_is_filled(buffer) for buffer in model.tables(4)]
        kinds = [max(code.integer(0, "<b"), code.integer(3, "<i")) for code in model.tables(1)]
        for graph in model.tables(2):
            _graph(graph, seen, kinds, filled)
    except (Malformed, IndexError):
        return ""
    return seen.label


def _is_filled(buffer: Table) -> bool:
    return buffer.length(0) > 0 or buffer.integer(2, "<Q") > 0


def _graph(graph: Table, seen: Seen, kinds: Sequence[int], filled: Sequence[bool]) -> None:
    tensors = [_tensor(tensor, filled) for tensor in graph.tables(0)]
    unpacked: dict[int, str] = {}  # by tensor: what the constant was that it was dequantised from
    for operator in graph.tables(3):
        kind = kinds[operator.integer(0, "<I")]
        inputs, outputs = operator.integers(1, "<i"), operator.integers(2, "<i")
        if kind == DEQUANTIZE and inputs and outputs and tensors[inputs[0]].is_constant:
            unpacked[outputs[0]] = tensors[inputs[0]].stored
        elif kind in WORKERS:
            taken = [inputs[at] for at in WORKERS[kind] if at < len(inputs) and inputs[at] >= 0]
            seen.works_on([Operand(tensors[index].stored, unpacked.get(index, "")) for index in taken])
        elif kind == CUSTOM:
            seen.strange = True
        elif kind not in (DEQUANTIZE, QUANTIZE, CAST):
            at = TABLE_FIRST.get(kind, 0)
            for index in [index for index in inputs if index >= 0][at : at + 1]:
                seen.passes(Operand(tensors[index].stored), integers=tensors[index].has_scale)


def _tensor(tensor: Table, filled: Sequence[bool]) -> _Tensor:
    buffer = tensor.integer(2, "<I")
    quantisation = tensor.table(4)
    has_scale = quantisation is not None and quantisation.length(2, 4) > 0
    return _Tensor(ELEMENTS.get(tensor.integer(1, "<b"), ""), buffer < len(filled) and filled[buffer], has_scale)
