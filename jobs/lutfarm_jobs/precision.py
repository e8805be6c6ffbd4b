"""What a model file computes in, in words: `fp32`, `int8`, `int8+fp32`; empty where the file does not tell.

It is what the operators that do the work (convolutions, matrix products, recurrent cells, attention) take in, as the
file says it: a runtime may compute in something wider.  A dequantised operand counts as what it was: runtimes fuse a
product between `DequantizeLinear` and `QuantizeLinear` into one of integers.  Several names mean that both are there:
weights of 8 bits beside activations of 32, or some layers so and some otherwise.  Signed and unsigned are one name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

# From the narrowest to the widest, which is the order of a label.
PRECISIONS = ("int2", "int4", "fp4", "int8", "fp8", "int16", "bf16", "fp16", "fp32", "fp64")
FLOATS = frozenset(name for name in PRECISIONS if "fp" in name or name == "bf16")
SEPARATOR = "+"


def label(precisions: Collection[str]) -> str:
    """For example `int8+fp32`; empty for nothing that is a precision."""
    return SEPARATOR.join(name for name in PRECISIONS if name in precisions)


def canonical(text: str) -> str:
    """A label in the order of labels.  Raises ValueError naming what is known for anything else."""
    names = text.split(SEPARATOR)
    if unknown := [name for name in names if name not in PRECISIONS]:
        raise ValueError(f"unknown precision {unknown[0][:40]!r}; known: {', '.join(PRECISIONS)}, or several joined by +")
    return label(names)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as an operator sees it: what it holds, and what it was before it was dequantised; empty: not known."""

    stored: str = ""
    quantised: str = ""

    @property
    def counts_as(self) -> str:
        """The name that it adds to a label."""
        return self.quantised or self.stored


@dataclass(slots=True)
class Seen:
    """What a walk through a graph has met."""

    working: set[str] = field(default_factory=set[str])  # what the operators that do the work take in
    unknown: bool = False  # one of them takes in something that is not known
    others: set[str] = field(default_factory=set[str])  # what all other operators take in
    strange: bool = False  # there are operators that nothing is known of

    def works_on(self, operands: Collection[Operand]) -> None:
        """One of the operators that do the work."""
        names = {operand.counts_as for operand in operands}
        self.working |= names
        self.unknown = self.unknown or not names <= set(PRECISIONS)

    def passes(self, operand: Operand, *, integers: bool) -> None:
        """Any other operator; integers count where they stand for numbers with a scale."""
        name = operand.counts_as
        if name in FLOATS or (name in PRECISIONS and (integers or operand.quantised)):
            self.others.add(name)

    @property
    def label(self) -> str:
        """Of the work, where there is any; empty where a part of it is not known."""
        if self.unknown:
            return ""
        return label(self.working) or ("" if self.strange else label(self.others))
