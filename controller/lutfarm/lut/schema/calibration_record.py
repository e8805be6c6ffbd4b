"""A table's calibration on measured networks: what was observed, and under which priors.

Stored are the observations and the priors, never what was fitted: a loaded table fits again, which takes less than half a
second, is auditable, and leaves nothing to forge but the measurements themselves.  The model is in posterior.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lutfarm.lut.calibration.shared_effects import RULE
from lutfarm.lut.schema.validation_record import LARGEST_NS
from lutfarm_jobs.errors import SpecError

Basis = Literal["entries", "analytic"]

OF_INTERVALS = frozenset({"converged", "not_precise"})

VERSION = 1
MOST_NETWORKS = 200
MOST_OPERATORS = 20_000
MOST_SIZES = 256  # combinations of the sizes that are integrated over
LARGEST_COUNT = 1_000_000
MOST_FLAGS, MOST_FLAG = 100, 60  # of its networks together; characters of one
LARGEST_ERROR = 3.0  # of a logarithm: a factor of 20


def _in_range(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise SpecError(f"calibration: {name} is {value!r}, not from {least:g} to {most:g}")


@dataclass(frozen=True, slots=True)
class Observed:
    """One measured network: which operators it has how often (without what is nothing), and how long it took.

    `log_error` is the standard error of the logarithm of `measured`; None: not known.
    """

    arch: tuple[int, ...]
    composition: Mapping[str, int]
    measured: float
    log_error: float | None = None


@dataclass(frozen=True, slots=True)
class Priors:
    """The prior of `y / S = scale + intercept / S + sum(f * delta) + noise`; everything relative to S, the plain sum.

    The sizes (standard deviations) of operators' own terms, of the effects that alike operators share, and of the noise are
    integrated over the grid of these three, each combination equally likely beforehand.
    """

    scale: float = 0.3  # standard deviation around 1
    intercept: float = 0.02  # standard deviation as a share of the smallest S
    own: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
    shared: tuple[float, ...] = (0.003, 0.008, 0.021, 0.056, 0.15)
    noise: tuple[float, ...] = (0.003, 0.0065, 0.014, 0.03)

    def __post_init__(self) -> None:
        """Raises SpecError naming the field."""
        for name in ("scale", "intercept"):
            _in_range(f"priors.{name}", getattr(self, name), 1e-6, 10.0)
        for name in ("own", "shared", "noise"):
            sizes: tuple[float, ...] = getattr(self, name)
            if not sizes:
                raise SpecError(f"calibration: priors.{name} is empty; give at least one size")
            for size in sizes:
                _in_range(f"priors.{name}", size, 1e-6, 10.0)
        if len(self.own) * len(self.shared) * len(self.noise) > MOST_SIZES:
            raise SpecError(f"calibration: more than {MOST_SIZES} combinations of sizes; give fewer in priors")


# Multiply-accumulates and bytes say less of an operator than its own measurement does.
ANALYTIC_PRIORS = Priors(own=(0.04, 0.08, 0.16, 0.32, 0.64), shared=(0.01, 0.04, 0.1, 0.25, 0.6))


@dataclass(frozen=True, slots=True)
class CalibrationNetwork:
    """An Observed as it is stored: operators by their positions in `Calibration.operators`."""

    arch: tuple[int, ...]
    operators: tuple[int, ...]
    counts: tuple[int, ...]
    measured: float
    log_error: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Networks of one space that were measured on one device and backend, and how they correct a table's sums.

    `basis`: "entries", the table's isolated measurements; "analytic", a line through multiply-accumulates, bytes and
    operators that is fitted to these networks, for a table without entries.
    """

    space: str
    device: str
    backend: str
    operators: tuple[str, ...]
    networks: tuple[CalibrationNetwork, ...]
    priors: Priors = Priors()
    basis: Basis = "entries"
    confidence: float = 0.95
    effects: str = RULE
    version: int = VERSION
    left_out: int = 0  # networks that were measured for it by a busy machine
    flags: tuple[str, ...] = ()  # that some of its networks have, but what says how wide their intervals are

    def __post_init__(self) -> None:
        """Raises SpecError naming what can't be true."""
        if self.version != VERSION or self.effects != RULE:
            raise SpecError(
                f"calibration: version {str(self.version)[:20]!r} with effects {self.effects[:40]!r} is not known (this reads "
                f"{VERSION} with {RULE!r}): upgrade lutfarm, or calibrate again"
            )
        _in_range("confidence", self.confidence, 0.5, 0.999)
        if not 1 <= len(self.networks) <= MOST_NETWORKS:
            raise SpecError(
                f"calibration: {len(self.networks)} networks; give 1 to {MOST_NETWORKS} that were measured on this device"
            )
        if len(self.operators) > MOST_OPERATORS or len(set(self.operators)) < len(self.operators):
            raise SpecError(f"calibration: operators stand twice, or are more than {MOST_OPERATORS}")
        if not 0 <= self.left_out <= MOST_NETWORKS:
            raise SpecError(f"calibration: {self.left_out} networks are left out, not 0 to {MOST_NETWORKS}")
        odd = [flag for flag in self.flags if not 0 < len(flag) <= MOST_FLAG or not flag.isprintable() or " " in flag]
        if len(self.flags) > MOST_FLAGS or odd:
            raise SpecError(f"calibration: it has {len(self.flags)} flags, {len(odd)} of them are none")
        for position, network in enumerate(self.networks):
            _check_network(f"networks[{position}]", network, len(self.operators))

    @property
    def observed(self) -> tuple[Observed, ...]:
        """The networks as they were observed."""
        return tuple(
            Observed(
                network.arch,
                {self.operators[at]: count for at, count in zip(network.operators, network.counts, strict=True)},
                network.measured,
                network.log_error,
            )
            for network in self.networks
        )

    @property
    def archs(self) -> frozenset[tuple[int, ...]]:
        """The networks by their choices: none of these may count as validation."""
        return frozenset(network.arch for network in self.networks)

    def describe(self) -> str:
        """As a prediction says it."""
        count = f"{len(self.networks)} network{'s' if len(self.networks) != 1 else ''}"
        left_out = f", {self.left_out} that a busy machine measured left out" if self.left_out else ""
        return f"calibrated on {count}{left_out}" + (f", some of them {', '.join(self.flags)}" if self.flags else "")


def calibration_of(
    observed: Sequence[Observed],
    *,
    space: str,
    device: str,
    backend: str,
    priors: Priors | None = None,
    basis: Basis = "entries",
    confidence: float = 0.95,
    left_out: int = 0,
    flags: Collection[str] = (),
) -> Calibration:
    """From measured networks.  Raises SpecError for none, for too many, and for values that can't be true."""
    keys = tuple(dict.fromkeys(key for network in observed for key in sorted(network.composition)))
    position_of = {key: at for at, key in enumerate(keys)}
    networks = tuple(
        CalibrationNetwork(
            arch=tuple(network.arch),
            operators=tuple(position_of[key] for key in sorted(network.composition)),
            counts=tuple(network.composition[key] for key in sorted(network.composition)),
            measured=float(network.measured),
            log_error=None if network.log_error is None else float(network.log_error),
        )
        for network in observed
    )
    default = Priors() if basis == "entries" else ANALYTIC_PRIORS
    return Calibration(
        space=space,
        device=device,
        backend=backend,
        operators=keys,
        networks=networks,
        priors=priors or default,
        basis=basis,
        confidence=confidence,
        left_out=left_out,
        flags=tuple(sorted(set(flags) - OF_INTERVALS)),
    )


def _check_network(where: str, network: CalibrationNetwork, operators: int) -> None:
    _in_range(f"{where}.measured", network.measured, 1e-3, LARGEST_NS)
    if network.log_error is not None:
        _in_range(f"{where}.log_error", network.log_error, 0.0, LARGEST_ERROR)
    if not network.operators or len(network.operators) != len(network.counts):
        raise SpecError(f"calibration: {where} has {len(network.operators)} operators and {len(network.counts)} counts")
    if len(set(network.operators)) < len(network.operators):
        raise SpecError(f"calibration: {where} names an operator twice")
    if not all(0 <= at < operators for at in network.operators):
        raise SpecError(f"calibration: {where} names an operator that is not listed")
    if not all(1 <= count <= LARGEST_COUNT for count in network.counts):
        raise SpecError(f"calibration: {where} has a count that is not from 1 to {LARGEST_COUNT}")
