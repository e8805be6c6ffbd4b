"""The Bayesian calibration of a table: from isolated entries and a few measured networks to any network.  Pure.

`y / S = scale + intercept / S + sum(f * delta) + noise`: y a network's latency, S the plain sum of its entries, f an entry's
share of S, delta what an operator does inside networks: its own term plus the effects that alike operators share.
All terms are normal; only their sizes are unknown, and those are integrated over the grid of `Priors` by marginal likelihood.
So this is Gaussian-process regression on n networks (Rasmussen and Williams 2006, algorithm 2.1 and section 5.4.1 for the
residuals that leave one out), and every step costs n^3 however many operators there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lutfarm.lut.calibration.design import Estimate, Terms, Toward, shares, toward
from lutfarm.lut.schema.calibration_record import Observed, Priors
from lutfarm.statistics.intervals.distributions import chi_squared_exceeds, mixture_quantile
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.errors import SpecError

KEPT_WEIGHT = 0.999  # of the mixture; what is lighter changes no interval visibly
OUTLIER = 6.0  # standard deviations from what the other networks say
LEAST_FOR_OUTLIERS = 5  # with fewer nobody can say which one is odd
OUTLIER_SHARE = 0.2  # of the networks, at most
STRAINED = 0.001  # how likely the misfit would be if the model were right
CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How the networks fit, each in their order; `sizes` are means over the mixture.

    `outliers` are networks that the others contradict by more than OUTLIER standard deviations: they are kept and named, and
    their error is taken to be as large as that contradiction.  `misfit` above 1: even the largest sizes of the priors
    don't explain the networks; every variance is that many times larger.
    """

    scale: float
    intercept: float
    own: float
    shared: float
    noise: float
    misfit: float
    outliers: tuple[int, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """What a prediction should carry along."""
        odd = ["calibration_outliers"] if self.outliers else []
        return (*odd, "calibration_strained") if self.misfit > 1 else tuple(odd)


@dataclass(frozen=True, slots=True)
class _Mixture:
    """One row for each combination of sizes that is kept; n networks."""

    weights: FloatArray  # (g,), sum 1
    own: FloatArray  # (g,) variances, as the two below
    shared: FloatArray
    noise: FloatArray
    roots: FloatArray  # (g, n, n): inverses of the covariances' Cholesky factors
    pulls: FloatArray  # (g, n): inverse covariance times residual


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the networks say: `toward` some operators once, then `intervals_ns` or `line_ns` of them often."""

    priors: Priors
    confidence: float
    diagnostics: Diagnostics
    terms: Terms = field(repr=False)  # of the operators of the calibrated networks
    sums: FloatArray = field(repr=False)  # (n,) S of the calibrated networks
    parts: FloatArray = field(repr=False)  # (n, operators) f of the calibrated networks
    _mixture: _Mixture = field(repr=False)
    _measured_variance: float = field(repr=False)  # what measuring a network adds, on average

    @property
    def n(self) -> int:
        """How many networks it rests on."""
        return len(self.sums)

    def toward(self, terms: Terms) -> Toward:
        """Some operators, whether in the calibrated networks or not, made ready."""
        return toward(terms, self.terms, self.parts)

    def line_ns(self, of: Toward) -> tuple[float, FloatArray]:
        """The intercept and what one of each operator adds, in ns: predictions are linear in the counts."""
        mixture = self._mixture
        pull = mixture.weights @ mixture.pulls
        scale = 1 + self.priors.scale**2 * float(pull.sum())
        intercept_ns = self._intercept**2 * float((pull / self.sums).sum())
        delta = of.own @ ((mixture.weights * mixture.own) @ mixture.pulls)
        delta += of.error @ pull
        delta += of.shared @ ((mixture.weights * mixture.shared) @ mixture.pulls)
        return intercept_ns, of.terms.estimate * (scale + delta)

    def operators_ns(self, of: Toward) -> FloatArray:
        """(operators, 3): estimate, low, high of one of each inside networks; the intercept is of none of them."""
        mixture, terms, scale = self._mixture, of.terms, self.priors.scale**2
        before = scale + np.square(terms.log_error) + np.square(terms.common).sum(axis=1)
        means, variances = (np.empty((len(terms.keys), len(mixture.weights))) for _ in range(2))
        for g in range(len(mixture.weights)):
            kernel = scale + of.error + mixture.own[g] * of.own + mixture.shared[g] * of.shared
            means[:, g] = 1 + kernel @ mixture.pulls[g]
            prior = before + mixture.own[g] + mixture.shared[g] * np.square(terms.effects).sum(axis=1)
            variances[:, g] = np.maximum(prior - np.square(kernel @ mixture.roots[g].T).sum(axis=1), 1e-12)
        deviations = np.sqrt(variances * self.diagnostics.misfit)
        tail = (1 - self.confidence) / 2
        limits = [mixture_quantile(mixture.weights, means, deviations, p) for p in (tail, 1 - tail)]
        return np.stack([means @ mixture.weights, *limits], axis=1) * terms.estimate[:, None]

    def intervals_ns(self, of: Toward, counts: FloatArray) -> FloatArray:
        """(m, 3): estimate, low, high for networks with these counts of operators, shape (m, operators).

        The interval is that of the network as it would be measured, the way that the calibrated ones were.
        """
        intercept_ns, each_ns = self.line_ns(of)
        intervals = np.zeros((len(counts), 3))
        for start in range(0, len(counts), CHUNK):
            part = slice(start, start + CHUNK)
            intervals[part] = self._chunk_ns(of, counts[part], intercept_ns, each_ns)
        return intervals

    def _chunk_ns(self, of: Toward, counts: FloatArray, intercept_ns: float, each_ns: FloatArray) -> FloatArray:
        sums_ns, parts = shares(of.terms, counts)
        something = sums_ns > 0  # a network of nothing takes nothing
        means, deviations = self._components(of, sums_ns[something], parts[something])
        tail = (1 - self.confidence) / 2
        intervals = np.zeros((len(counts), 3))
        intervals[something, 0] = np.maximum(counts[something] @ each_ns + intercept_ns, 0.0)
        for column, probability in ((1, tail), (2, 1 - tail)):
            limits = mixture_quantile(self._mixture.weights, means, deviations, probability)
            intervals[something, column] = np.maximum(limits * sums_ns[something], 0.0)
        intervals[:, 1], intervals[:, 2] = (
            np.minimum(intervals[:, 0], intervals[:, 1]),
            np.maximum(intervals[:, 0], intervals[:, 2]),
        )
        return intervals

    def _components(self, of: Toward, sums_ns: FloatArray, parts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations of y / S under each combination of sizes, (m, g) each."""
        mixture, terms = self._mixture, of.terms
        base = self.priors.scale**2 + self._intercept**2 / np.outer(sums_ns, self.sums) + parts @ of.error
        own, shared = parts @ of.own, parts @ of.shared
        always = self.priors.scale**2 + (self._intercept / sums_ns) ** 2 + np.square(parts) @ np.square(terms.log_error)
        always += np.square(parts @ terms.common).sum(axis=1)
        own_size, shared_size = np.square(parts).sum(axis=1), np.square(parts @ terms.effects).sum(axis=1)
        means, variances = (np.empty((len(parts), len(mixture.weights))) for _ in range(2))
        for g in range(len(mixture.weights)):
            kernel = base + mixture.own[g] * own + mixture.shared[g] * shared
            means[:, g] = 1 + kernel @ mixture.pulls[g]
            before = always + mixture.own[g] * own_size + mixture.shared[g] * shared_size
            known = np.square(kernel @ mixture.roots[g].T).sum(axis=1)
            variances[:, g] = np.maximum(before - known, 0.0) + mixture.noise[g] + self._measured_variance
        return means, np.sqrt(variances * self.diagnostics.misfit)

    @property
    def _intercept(self) -> float:
        """Its standard deviation in ns."""
        return _intercept_ns(self.priors, self.sums)


def calibrate(
    observed: Sequence[Observed],
    entries: Mapping[str, Estimate],
    features: Mapping[str, tuple[str, ...]],
    *,
    priors: Priors | None = None,
    confidence: float = 0.95,
) -> Posterior:
    """From measured networks, the entries of their operators, and the effects that operators share, by key.

    Networks in another order give the same to rounding.  Raises SpecError where there is no network, or one needs an
    operator without an entry.
    """
    if not observed:
        raise SpecError("a calibration needs at least one measured network of the space; measure some")
    keys = tuple(sorted({key for one in observed for key in one.composition}))
    if lacking := [key for key in keys if key not in entries or not entries[key].estimate > 0]:
        raise SpecError(f"the calibrated networks need {len(lacking)} operators without a latency: {', '.join(lacking[:8])}")
    chosen = priors or Priors()
    terms = Terms.of(keys, entries, features)
    column_of = {key: at for at, key in enumerate(keys)}
    counts = np.zeros((len(observed), len(keys)))
    for row, one in enumerate(observed):
        for key, count in one.composition.items():
            counts[row, column_of[key]] = count
    sums_ns, parts = shares(terms, counts)
    errors = np.array([one.log_error or 0.0 for one in observed])
    ratios = np.array([one.measured for one in observed]) / sums_ns - 1
    mixture, diagnostics = _robust(_Kernel.of(chosen, terms, sums_ns, parts), ratios, errors)
    return Posterior(chosen, confidence, diagnostics, terms, sums_ns, parts, mixture, float(np.square(errors).mean()))


@dataclass(frozen=True, slots=True)
class _Kernel:
    """Covariances of the networks' y / S, (n, n) each: what is always there, and per unit of variance of a size."""

    priors: Priors
    sums: FloatArray
    intercept: float
    always: FloatArray
    own: FloatArray
    shared: FloatArray

    @classmethod
    def of(cls, priors: Priors, terms: Terms, sums_ns: FloatArray, parts: FloatArray) -> _Kernel:
        intercept_ns = _intercept_ns(priors, sums_ns)
        slope = intercept_ns / sums_ns
        grouped = parts @ terms.effects
        together = parts @ terms.common
        error = (parts * np.square(terms.log_error)) @ parts.T + together @ together.T
        return cls(
            priors, sums_ns, intercept_ns, priors.scale**2 + np.outer(slope, slope) + error, parts @ parts.T, grouped @ grouped.T
        )


def _intercept_ns(priors: Priors, sums_ns: FloatArray) -> float:
    """Its standard deviation: a share of the smallest network.

    A share of a typical one would let large networks bend what is said of small ones: NAS-Bench-201's differ by 20 times.
    """
    return priors.intercept * float(np.min(sums_ns))


def _robust(kernel: _Kernel, residuals: FloatArray, errors: FloatArray) -> tuple[_Mixture, Diagnostics]:
    """Fit; where the others contradict a network beyond belief, its error becomes that contradiction; fit again."""
    extra = np.zeros(len(residuals))
    outliers: list[int] = []
    allowed = int(OUTLIER_SHARE * len(residuals)) if len(residuals) >= LEAST_FOR_OUTLIERS else 0
    mixture = _integrated(kernel, residuals, np.square(errors))
    standard, distance = _left_out(mixture)
    while len(outliers) < allowed and np.abs(standard).max() > OUTLIER:
        worst = int(np.abs(standard).argmax())
        outliers.append(worst)
        extra[worst] = distance[worst]
        mixture = _integrated(kernel, residuals, np.square(errors) + np.square(extra))
        standard, distance = _left_out(mixture)
    return mixture, _diagnosed(kernel, mixture, residuals, sorted(outliers))


def _integrated(kernel: _Kernel, residuals: FloatArray, variances: FloatArray) -> _Mixture:
    """The mixture over the grid of sizes; weights by marginal likelihood."""
    priors = kernel.priors
    grid = np.array([(a, b, c) for a in priors.own for b in priors.shared for c in priors.noise]) ** 2
    likelihoods = np.array([_likelihood(_root(kernel, sizes, variances), residuals) for sizes in grid])
    weights = np.exp(likelihoods - likelihoods.max())
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    kept = order[: int(np.searchsorted(np.cumsum(weights[order]), KEPT_WEIGHT)) + 1]
    roots = np.array([_root(kernel, sizes, variances) for sizes in grid[kept]])
    return _Mixture(
        weights=weights[kept] / weights[kept].sum(),
        own=grid[kept, 0],
        shared=grid[kept, 1],
        noise=grid[kept, 2],
        roots=roots,
        pulls=np.einsum("gji,gj->gi", roots, np.einsum("gij,j->gi", roots, residuals)),
    )


def _root(kernel: _Kernel, sizes: FloatArray, variances: FloatArray) -> FloatArray:
    covariance: FloatArray = kernel.always + sizes[0] * kernel.own + sizes[1] * kernel.shared
    covariance[np.diag_indices_from(covariance)] += sizes[2] + variances
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise SpecError(
            "the calibrated networks can't be told apart in numbers; raise the smallest noise of the priors"
        ) from error


def _likelihood(root: FloatArray, residuals: FloatArray) -> float:
    return float(np.log(np.diag(root)).sum() - np.square(root @ residuals).sum() / 2)


def _left_out(mixture: _Mixture) -> tuple[FloatArray, FloatArray]:
    """Each network against what the others say: in standard deviations, and as a share of S."""
    precisions = np.square(mixture.roots).sum(axis=1)  # (g, n): diagonals of the inverse covariances
    standard = mixture.weights @ (mixture.pulls / np.sqrt(precisions))
    distance = mixture.weights @ (mixture.pulls / precisions)
    return standard, distance


def _diagnosed(kernel: _Kernel, mixture: _Mixture, residuals: FloatArray, outliers: Sequence[int]) -> Diagnostics:
    pull = mixture.weights @ mixture.pulls
    priors, sums_ns = kernel.priors, kernel.sums
    square = float(mixture.weights @ (mixture.pulls @ residuals))  # chi-squared with n degrees of freedom
    strained = chi_squared_exceeds(square, len(residuals)) < STRAINED
    own, shared, noise = (float(mixture.weights @ np.sqrt(v)) for v in (mixture.own, mixture.shared, mixture.noise))
    return Diagnostics(
        scale=1 + priors.scale**2 * float(pull.sum()),
        intercept=kernel.intercept**2 * float((pull / sums_ns).sum()),
        own=own,
        shared=shared,
        noise=noise,
        misfit=max(1.0, square / len(residuals)) if strained else 1.0,
        outliers=tuple(outliers),
    )
