"""What a model file says about its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from lutfarm_jobs.models.bounds import Malformed
from lutfarm_jobs.runtimes import ModelFormat
from lutfarm_runner.commands import HIGHEST_RANK, called

LARGEST_TENSOR_BYTES = 1 << 31
_ELEMENT_BYTES = {
    "complex128": 16, "complex64": 8, "float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4,
    "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
ONNX_TYPES: Mapping[str, int] = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "string": 8, "bool": 9,
    "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "complex64": 14, "complex128": 15, "bfloat16": 16,
    "float8_e4m3fn": 17, "float8_e4m3fnuz": 18, "float8_e5m2": 19, "float8_e5m2fnuz": 20, "uint4": 21, "int4": 22,
    "float4_e2m1fn": 23, "float8_e8m0fnu": 24, "uint2": 25, "int2": 26,
}  # fmt: skip
"""Element types by the names that numpy and ml_dtypes have for them, with ONNX's number."""
RUNNER_TYPES = frozenset(
    {"float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"}
)
"""Those that every numpy knows, so that the runner can make data for them; others are made on the host."""
FLOATING = frozenset(name for name in ONNX_TYPES if "float" in name)

WHOLE = frozenset(name for name in ONNX_TYPES if name.removeprefix("u").startswith("int"))


def integer_bounds(dtype: str) -> tuple[int, int]:
    """The least and the largest value of an integer type, such as `uint8` or `int4`."""
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    return (0, (1 << bits) - 1) if dtype.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)


def element_bytes(dtype: str) -> int:
    """Size of one element; 1 for types that only a runtime knows."""
    return _ELEMENT_BYTES.get(dtype, 1)


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input: `shape` has None for a dimension that the file leaves open, and is None for an open rank."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str

    @property
    def is_dynamic(self) -> bool:
        """True where the job must fix the shape."""
        return not self.is_container and (self.shape is None or None in self.shape)

    @property
    def is_container(self) -> bool:
        """True for sequences, optionals and the like, whose `shape` is that of the tensors in them."""
        return "(" in self.dtype

    @property
    def text(self) -> str:
        """For example `float32[1, ?, 48, 320]`."""
        if self.is_container:
            return self.dtype
        if self.shape is None:
            return f"{self.dtype}[...]"
        return f"{self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether the file allows the input to have this shape."""
        return self.shape is None or (
            len(self.shape) == len(shape) and all(own in (None, size) for own, size in zip(self.shape, shape, strict=True))
        )

    @property
    def least_bytes(self) -> int:
        """How much it takes with every open dimension at one."""
        return prod(1 if size is None else size for size in self.shape or ()) * element_bytes(self.dtype)


def named(inputs: Sequence[ModelInput]) -> tuple[ModelInput, ...]:
    """The same, each by a name that means it alone: `#POSITION` where the file gives none, or one to several."""
    names = called([declared.name for declared in inputs])
    return tuple(replace(declared, name=name) for declared, name in zip(inputs, names, strict=True))


def check_size(name: str, shape: tuple[int | None, ...] | None, dtype: str) -> None:
    """Raises Malformed for a declared shape that no device could hold."""
    declared = ModelInput(name, shape and shape[: HIGHEST_RANK + 1], dtype)
    if shape is not None and len(shape) > HIGHEST_RANK:
        raise Malformed(f"its {name!r} is declared with {len(shape)} dimensions")
    if declared.least_bytes > LARGEST_TENSOR_BYTES:
        raise Malformed(f"its {name!r} is declared as {declared.text}: at least {declared.least_bytes} bytes")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model file that was read and found usable, as far as that can be told without running it."""

    path: Path
    format: ModelFormat
    sha256: str
    size_bytes: int
    inputs: tuple[ModelInput, ...]
    random: tuple[str, ...] = ()  # kinds of its operators that make random numbers
    precision: str = ""  # see lutfarm_jobs.precision; empty: the file does not tell
    leads: tuple[int | None, ...] = ()  # see `batch`
