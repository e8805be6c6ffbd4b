"""Which kinds of operators that make random numbers a model file holds, wherever in it they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lutfarm_jobs.models.bounds import Budget, Malformed
from lutfarm_jobs.models.onnx.protobuf import fields, nested, text
from lutfarm_runner.commands import SOMETIMES_RANDOM

RANDOM = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Sampling",
})  # fmt: skip
_TRAINING_INPUT = 2  # of Dropout: whether it drops anything
# Field numbers of onnx.proto3: which fields of a message hold messages that may hold nodes.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
DEEPEST = 64


def random_in_onnx(content: memoryview) -> tuple[str, ...]:
    """Of an .onnx file that was read: the kinds by name, sorted.  Dropout counts where its training mode is an input."""
    return tuple(sorted(set(_random(content, "model", Budget(), 0))))


def _random(message: memoryview, kind: str, budget: Budget, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise Malformed(f"it nests messages more than {DEEPEST} deep")
    name, inputs = "", list[str]()
    for field_number, value in fields(message, budget):
        if field_number in _INSIDE[kind]:
            yield from _random(nested(value), _INSIDE[kind][field_number], budget, depth + 1)
        elif kind == "node" and field_number == 4:
            name = text(value)
        elif kind == "node" and field_number == 1:
            inputs.append(text(value))
    if name in RANDOM or (name in SOMETIMES_RANDOM and any(inputs[_TRAINING_INPUT:])):
        yield name


_RANDOM_CODES: Mapping[int, str] = {146: "RANDOM_STANDARD_NORMAL", 148: "RANDOM_UNIFORM", 149: "MULTINOMIAL"}


def random_in_tflite(codes: Iterable[int]) -> tuple[str, ...]:
    """Of the builtin codes of a .tflite file: the kinds by the schema's names, sorted."""
    return tuple(sorted({_RANDOM_CODES[code] for code in codes if code in _RANDOM_CODES}))
