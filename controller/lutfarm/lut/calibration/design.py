"""Operators as a calibration sees them: their estimates, their effects, and how they resemble the calibrated networks'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lutfarm.statistics.samples.process import FloatArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an operator takes by itself, and the standard error of that number's logarithm.

    `common`: errors that all operators make together, one after the other, as standard errors of this one's logarithm.
    """

    estimate: float
    log_error: float = 0.0
    common: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """Some operators in a fixed order; `effects` is 1 where an operator (row) has an effect (column of `names`)."""

    keys: tuple[str, ...]
    estimate: FloatArray  # (operators,)
    log_error: FloatArray  # (operators,)
    common: FloatArray  # (operators, errors that they make together)
    names: tuple[str, ...]
    effects: FloatArray  # (operators, names)

    @classmethod
    def of(cls, keys: Sequence[str], entries: Mapping[str, Estimate], features: Mapping[str, tuple[str, ...]]) -> Terms:
        """Raises KeyError for a key without an entry."""
        every = sorted({name for key in keys for name in features.get(key, ())})
        names = {name: at for at, name in enumerate(every)}
        effects = np.zeros((len(keys), len(names)))
        for row, key in enumerate(keys):
            for name in features.get(key, ()):
                effects[row, names[name]] = 1.0
        chosen = [entries[key] for key in keys]
        common = np.zeros((len(keys), max((len(one.common) for one in chosen), default=0)))
        for row, one in enumerate(chosen):
            common[row, : len(one.common)] = one.common
        return cls(
            keys=tuple(keys),
            estimate=np.array([one.estimate for one in chosen]),
            log_error=np.array([one.log_error for one in chosen]),
            common=common,
            names=tuple(names),
            effects=effects,
        )


@dataclass(frozen=True, slots=True)
class Toward:
    """How some operators go together with n calibrated networks, (operators, n) each."""

    terms: Terms
    own: FloatArray  # per unit of variance of own terms
    error: FloatArray  # by the errors of the entries themselves
    shared: FloatArray  # per unit of variance of shared effects


def shares(terms: Terms, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """S of some networks in ns, (m,), and the operators' shares of it, (m, operators); 0 where S is."""
    added_ns = counts * terms.estimate
    sums_ns = added_ns.sum(axis=1)
    return sums_ns, added_ns / np.where(sums_ns > 0, sums_ns, 1.0)[:, None]


def toward(terms: Terms, known: Terms, parts: FloatArray) -> Toward:
    """`parts`: (n, operators of `known`), the shares of the calibrated networks."""
    column_of = {key: at for at, key in enumerate(known.keys)}
    own = np.zeros((len(terms.keys), len(parts)))
    for row, key in enumerate(terms.keys):
        if key in column_of:
            own[row] = parts[:, column_of[key]]
    columns = {name: at for at, name in enumerate(known.names)}
    grouped = (parts @ known.effects).T
    shared = np.zeros(own.shape, dtype=np.float64)
    for at, name in enumerate(terms.names):
        if name in columns:
            shared += terms.effects[:, at, None] * grouped[columns[name]][None, :]
    together = min(terms.common.shape[1], known.common.shape[1])  # one that either side lacks is of nothing there
    error = own * np.square(terms.log_error)[:, None] + terms.common[:, :together] @ (parts @ known.common[:, :together]).T
    return Toward(terms, own, error, shared)
