"""What a .tflite file says about itself: a flatbuffer, whose offsets are checked before they are followed.

The generated accessors check nothing, and a file of random bytes sends them anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lutfarm_jobs.models.bounds import LONGEST_NAME_BYTES, Budget, Malformed
from lutfarm_jobs.models.info import ModelInput, check_size

IDENTIFIER = b"TFL3"
_TENSOR_TYPES: Mapping[int, str] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16",
    8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A flatbuffer table; `slots` are counted as in the schema, from 0."""

    content: memoryview
    position: int
    budget: Budget

    def integer(self, slot: int, form: str, default: int = 0) -> int:
        """A scalar field; `form` as in struct."""
        at = self._field(slot)
        return default if at is None else _read(self.content, form, at)

    def table(self, slot: int) -> Table | None:
        """A table, or None where there is none."""
        at = self._field(slot)
        return None if at is None else Table(self.content, at + _read(self.content, "<I", at), self.budget)

    def tables(self, slot: int) -> Iterator[Table]:
        """A list of tables."""
        start, length = self._vector(slot, 4)
        self.budget.spend(length)
        for at in range(start, start + 4 * length, 4):
            yield Table(self.content, at + _read(self.content, "<I", at), self.budget)

    def integers(self, slot: int, form: str) -> tuple[int, ...]:
        """A list of numbers; empty where there is none."""
        size = struct.calcsize(form)
        start, length = self._vector(slot, size)
        self.budget.spend(length)
        return tuple(_read(self.content, form, start + size * index) for index in range(length))

    def text(self, slot: int) -> str:
        """A string, of which only the first 1,000 bytes are read; what is no UTF-8 is replaced."""
        start, length = self._vector(slot, 1)
        end = start + min(length, LONGEST_NAME_BYTES)
        return bytes(self.content[start:end]).decode("utf-8", errors="replace")

    def length(self, slot: int, element_bytes: int = 1) -> int:
        """How many elements a list has; all of them lie within the file."""
        return self._vector(slot, element_bytes)[1]

    def check_bytes(self, slot: int) -> None:
        """Raises Malformed where a list of bytes is not all within the file."""
        self._vector(slot, 1)

    def _vector(self, slot: int, element_bytes: int) -> tuple[int, int]:
        """Where a list begins and how many elements it has, all of them within the file."""
        at = self._field(slot)
        if at is None:
            return 0, 0
        start = at + _read(self.content, "<I", at)
        length = _read(self.content, "<I", start)
        if start + 4 + length * element_bytes > len(self.content):
            raise Malformed(f"a list of {length} elements goes beyond its end")
        return start + 4, length

    def _field(self, slot: int) -> int | None:
        vtable = self.position - _read(self.content, "<i", self.position)
        entry = 4 + 2 * slot
        if entry + 2 > _read(self.content, "<H", vtable):
            return None
        offset = _read(self.content, "<H", vtable + entry)
        return self.position + offset if offset else None


def read_tflite(content: memoryview) -> tuple[ModelInput, ...]:
    """The inputs of the first graph, in order.  Raises Malformed for what is no usable TFLite model.

    Only the first graph needs outputs: others may be run for what they do, as CALL_ONCE does.
    """
    model = root(content, Budget())
    if (version := model.integer(0, "<I")) != 3:
        raise Malformed(f"it has schema version {version}; only 3 is known")
    for slot in (8, 9):
        if any(True for _ in model.tables(slot)):
            raise Malformed("its weights lie in another file (external buffers); export it as a single file")
    buffers = sum(1 for buffer in model.tables(4) if _buffer_lies_within(buffer, len(content)))
    codes = sum(1 for code in model.tables(1) if _code_lies_within(code))
    inputs: tuple[ModelInput, ...] | None = None
    for graph in model.tables(2):
        of_graph, outputs = _graph(graph, buffers=buffers, codes=codes)
        if inputs is None:
            inputs = of_graph
            if not outputs:
                raise Malformed("its graph has no output")
    if inputs is None:
        raise Malformed("it holds no graph")
    return inputs


def operator_codes(content: memoryview) -> frozenset[int]:
    """The builtin codes of the operators of a file that was read; old ones stand in a field of their own."""
    model = root(content, Budget())
    return frozenset(max(code.integer(0, "<b"), code.integer(3, "<i")) for code in model.tables(1))


def root(content: memoryview, budget: Budget) -> Table:
    """The table of the whole file."""
    return Table(content, _read(content, "<I", 0), budget)


def _buffer_lies_within(buffer: Table, size_bytes: int) -> bool:
    buffer.check_bytes(0)
    if buffer.integer(1, "<Q") + buffer.integer(2, "<Q") > size_bytes:
        raise Malformed("a buffer goes beyond its end")
    return True


def _code_lies_within(code: Table) -> bool:
    """The first things that a writer packs stand last in the file, and so are the first to be cut off."""
    code.text(1)
    for slot, form in ((0, "<b"), (2, "<i"), (3, "<i")):
        code.integer(slot, form)
    return True


def _graph(graph: Table, *, buffers: int, codes: int) -> tuple[tuple[ModelInput, ...], int]:
    """The inputs of a graph and how many outputs it has."""
    tensors = [_tensor(tensor, buffers) for tensor in graph.tables(0)]
    inputs, outputs = graph.integers(1, "<i"), graph.integers(2, "<i")
    used = [*inputs, *outputs]
    for operator in graph.tables(3):
        if operator.integer(0, "<I") >= codes:
            raise Malformed("an operator has a code that the file doesn't list")
        used += [index for index in (*operator.integers(1, "<i"), *operator.integers(2, "<i")) if index != -1]
    if any(not 0 <= index < len(tensors) for index in used):
        raise Malformed(f"it uses a tensor that is not among its {len(tensors)}")
    return tuple(tensors[index] for index in inputs), len(outputs)


def _tensor(tensor: Table, buffers: int) -> ModelInput:
    shape, signature = tensor.integers(0, "<i"), tensor.integers(7, "<i")
    kind = tensor.integer(1, "<b")
    if tensor.integer(2, "<I") >= max(buffers, 1):
        raise Malformed("a tensor names a buffer that the file doesn't hold")
    if tensor.integer(10, "<I"):
        raise Malformed("its weights lie in another file (external buffers); export it as a single file")
    sizes = signature if len(signature) == len(shape) else shape
    open_sizes = tuple(size if size >= 0 else None for size in sizes)
    declared = ModelInput(tensor.text(3), open_sizes, _TENSOR_TYPES.get(kind, f"type {kind}"))
    check_size(declared.name, declared.shape, declared.dtype)
    return declared


def _read(content: memoryview, form: str, position: int) -> int:
    if not 0 <= position <= len(content) - struct.calcsize(form):
        raise Malformed(f"it ends before byte {position}")
    return struct.unpack_from(form, content, position)[0]
