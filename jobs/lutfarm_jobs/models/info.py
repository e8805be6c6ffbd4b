"""What a model file says about its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from lutfarm_jobs.measurement import ModelFormat
from lutfarm_jobs.models.bounds import HIGHEST_RANK, Malformed

LARGEST_TENSOR_BYTES = 1 << 31
_ELEMENT_BYTES = {
    "float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "float16": 2, "int16": 2,
    "uint16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
FEEDABLE = frozenset(_ELEMENT_BYTES)
"""Element types that the runner can make data for, as numpy names them."""


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
        return self.shape is None or None in self.shape

    @property
    def text(self) -> str:
        """For example `float32[1, ?, 48, 320]`."""
        if self.shape is None:
            return f"{self.dtype}[...]"
        return f"{self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"

    @property
    def least_bytes(self) -> int:
        """How much it takes with every open dimension at one."""
        return prod(size or 1 for size in self.shape or ()) * element_bytes(self.dtype)


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
