"""Limits for reading files from outside."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm_runner.commands import LONGEST_NAME

MOST_STEPS = 5_000_000  # some 5 s; a model of 100,000 nodes takes about 2 million
LONGEST_NAME_BYTES = 4 * LONGEST_NAME


class Malformed(ValueError):
    """The bytes are no usable model; the text goes on from "it can't be used: "."""


@dataclass(slots=True)
class Budget:
    """How many more fields or list elements may be read from one file."""

    steps: int = MOST_STEPS

    def spend(self, steps: int = 1) -> None:
        """Raises Malformed where so many are no longer left."""
        self.steps -= steps
        if self.steps < 0:
            raise Malformed(f"it has more than {MOST_STEPS} fields and list elements")
