"""Model files from outside: read, checked and refused where they can't be what they claim.

Nothing is executed and no runtime is imported; a model that passes may still fail on the device, and that
failure is a stored result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lutfarm_jobs.errors import ModelRefused, SpecError
from lutfarm_jobs.file_hash import sha256_of
from lutfarm_jobs.measurement import InputShape
from lutfarm_jobs.models.batch import onnx_leads, tflite_leads
from lutfarm_jobs.models.bounds import Malformed
from lutfarm_jobs.models.chance import random_in_onnx, random_in_tflite
from lutfarm_jobs.models.files import mapped, opened, suffix_of
from lutfarm_jobs.models.info import LARGEST_TENSOR_BYTES, ModelInfo, ModelInput, named
from lutfarm_jobs.models.onnx.precision import onnx_precision
from lutfarm_jobs.models.onnx.reader import read_onnx
from lutfarm_jobs.models.tflite.precision import tflite_precision
from lutfarm_jobs.models.tflite.reader import IDENTIFIER, operator_codes, read_tflite
from lutfarm_jobs.runtimes import ModelFormat
from lutfarm_runner.commands import HIGHEST_RANK, LONGEST_NAME, MOST_INPUTS

_EXAMPLE_SIZE = 224
_FORMATS: Mapping[str, ModelFormat] = {".onnx": "onnx", ".tflite": "tflite"}


def format_of(path: Path) -> ModelFormat:
    """By its suffix.  Raises SpecError for any other."""
    return _FORMATS[suffix_of(path)]


def inspect_file(path: Path) -> ModelInfo:
    """What a model file declares.  Raises SpecError naming the file, what is wrong and what to do.

    That is ModelRefused where it is the content that is wrong.
    """
    fmt = format_of(path)
    with opened(path) as file:
        content = mapped(file)
        inputs, random = _declared(path, content, fmt)
        precision, leads = (
            (onnx_precision(content), onnx_leads(content))
            if fmt == "onnx"
            else (tflite_precision(content), tflite_leads(content))
        )
        return ModelInfo(path, fmt, sha256_of(file), len(content), inputs, random, precision, leads)


def _declared(path: Path, content: memoryview, fmt: ModelFormat) -> tuple[tuple[ModelInput, ...], tuple[str, ...]]:
    """The inputs, and the kinds of operators that make random numbers."""
    is_tflite = bytes(content[4:8]) == IDENTIFIER
    if fmt == "onnx" and is_tflite:
        raise ModelRefused(f"{path}: holds a TensorFlow Lite model; rename it to {path.stem}.tflite")
    if fmt == "tflite" and not is_tflite:
        raise ModelRefused(f"{path}: {_not_tflite(path, content)}")
    try:
        inputs = read_tflite(content) if is_tflite else read_onnx(content)
        random = random_in_tflite(operator_codes(content)) if is_tflite else random_in_onnx(content)
    except Malformed as error:
        advice = "export or download it again if it is damaged"
        raise ModelRefused(f"{path}: can't be used as .{fmt}: {error}; {advice}") from error
    if len(inputs) > MOST_INPUTS:
        raise ModelRefused(f"{path}: has {len(inputs)} inputs; {MOST_INPUTS} is the most")
    for position, declared in enumerate(inputs):
        if len(declared.name) > LONGEST_NAME or "\0" in declared.name:
            fault = f"of more than {LONGEST_NAME} characters" if "\0" not in declared.name else "with a NUL character"
            raise ModelRefused(f"{path}: input {position} has a name {fault}, {declared.name[:40]!r}...; give it another one")
    return named(inputs), random


def _not_tflite(path: Path, content: memoryview) -> str:
    try:
        read_onnx(content)
    except Malformed:
        return "is no TensorFlow Lite model (its bytes 4 to 8 are not TFL3); export or download it again"
    return f"holds an ONNX model; rename it to {path.stem}.onnx"


def resolve_inputs(info: ModelInfo, shapes: Mapping[str, tuple[int, ...]]) -> tuple[InputShape, ...]:
    """All inputs with fixed shapes, or none where the file's own are static.

    `shapes` is what the job says, by input name.  Raises SpecError for dynamic inputs that it leaves open,
    unknown names, and shapes that contradict the file.
    """
    names = [declared.name for declared in info.inputs]
    if unknown := sorted(set(shapes) - set(names)):
        known = ", ".join(names) or "none"
        raise SpecError(f"{info.path}: has no input {unknown[0]!r}; its inputs are {known}")
    left_open = [declared for declared in info.inputs if declared.is_dynamic and declared.name not in shapes]
    if left_open:
        listed = ", ".join(f"{declared.name} {declared.text}" for declared in left_open)
        example = ", ".join(f"{declared.name}: {_example(declared)}" for declared in left_open)
        raise SpecError(
            f"{info.path}: the shape of {listed} is dynamic; set it in the job beside `models`, "
            f"for example `inputs: {{{example}}}`"
        )
    tensors = [declared for declared in info.inputs if not declared.is_container]
    resolved = tuple(_resolved(info, declared, shapes.get(declared.name)) for declared in tensors)
    return resolved if any(declared.is_dynamic for declared in info.inputs) else ()


def _resolved(info: ModelInfo, declared: ModelInput, wanted: tuple[int, ...] | None) -> InputShape:
    if wanted is None:
        return InputShape(declared.name, tuple(size or 0 for size in declared.shape or ()), declared.dtype)
    where = f"{info.path}: inputs.{declared.name} {list(wanted)}"
    if not declared.takes(wanted):
        raise SpecError(f"{where} contradicts the file, which says {declared.text}")
    if len(wanted) > HIGHEST_RANK or any(size < 0 for size in wanted):
        raise SpecError(f"{where} must have at most {HIGHEST_RANK} dimensions, each 0 or more")
    fixed = ModelInput(declared.name, wanted, declared.dtype)
    if fixed.least_bytes > LARGEST_TENSOR_BYTES:
        raise SpecError(f"{where} takes {fixed.least_bytes} bytes; {LARGEST_TENSOR_BYTES} is the most")
    return InputShape(declared.name, wanted, declared.dtype)


def _example(declared: ModelInput) -> list[int]:
    """A shape that fits what the file says: batch 1, other open dimensions as images often have them."""
    shape = (None, 3, None, None) if declared.shape is None else declared.shape
    return [size if size is not None else (1 if axis == 0 else _EXAMPLE_SIZE) for axis, size in enumerate(shape)]
