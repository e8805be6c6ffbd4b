"""What one round said of the canary, and of which canary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lutfarm_jobs.run import Environment

BASIS = ("cpu_model", "governor", "machine", "models", "runtime", "setting")

Basis = tuple[tuple[str, str], ...]
IDLE_CORES, IDLE_SHARE = 0.5, 0.05  # what others may use of a machine that counts as idle: the larger of the two


@dataclass(frozen=True, slots=True)
class CanaryRound:
    """The canary's levels in one round.

    `level_ns`: of each of its runs the 10th percentile, of those the median; `low_ns`: the same of the fastest reading, None
    where it was not kept.  `idle`: see shown_idle.  `basis`: what made the canary what it was.
    """

    at_s: float  # Unix time at which the round began
    level_ns: int
    low_ns: int | None = None
    idle: bool | None = None
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


def shown_idle(before: Environment | None, after: Environment | None) -> bool | None:
    """Whether nothing else ran on the machine between two moments of one process; None: that can't be shown.

    False: other processes, or other guests of the same host as far as they show as stolen time, used more than IDLE_CORES and
    IDLE_SHARE of all cores.  A virtual machine is never shown to be idle: of the other guests it sees only what they steal.
    """
    if before is None or after is None or after.time_s <= before.time_s:
        return None
    if before.busy_s is None or after.busy_s is None or before.own_s is None or after.own_s is None:
        return None
    others = (after.busy_s - before.busy_s - (after.own_s - before.own_s)) / (after.time_s - before.time_s)
    if others > max(IDLE_CORES, IDLE_SHARE * (after.cores or 1)):
        return False
    return True if after.virtual is False else None
