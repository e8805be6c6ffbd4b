"""What one round said of the canary, and of which canary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BASIS = ("cpu_model", "governor", "machine", "models", "runtime", "setting")

Basis = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CanaryRound:
    """The canary's levels in one round.

    `level_ns`: of each of its runs the 10th percentile, of those the median; `high_ns`: the same of the 90th, None where it was
    not kept.  `basis`: what made the canary what it was.
    """

    at_s: float                                    # Unix time at which the round began
    level_ns: int
    high_ns: int | None = None
    basis: Basis = ()


def basis_of(fingerprint: Mapping[str, str]) -> Basis:
    """The part of a fingerprint that makes another canary: processor, clocks, cores, runtime, the model builder's version.

    A kernel, a Python or a runner of another version need not: what they change shows as a shift of the level.
    """
    return tuple((name, fingerprint[name]) for name in BASIS if fingerprint.get(name))


def difference(before: Basis, after: Basis) -> str:
    """What became what, for people: `runtime onnxruntime 1.31 -> onnxruntime 1.32`."""
    old, new = dict(before), dict(after)
    return ", ".join(
        f"{name} {old.get(name, 'unknown')} -> {new.get(name, 'unknown')}" for name in BASIS if old.get(name) != new.get(name)
    )
