"""What a table carries of how its predictions held up against measured networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from lutfarm.lut.schema.figures import Figures, compare, figures_of, share, words
from lutfarm.statistics.estimates.flags import BUSY
from lutfarm_jobs.errors import SpecError

Role = Literal["validation", "calibration", "anchor"]

MOST_NETWORKS = 20_000
MOST_CHARACTERS = 100_000  # of an architecture in its space's encoding
LEAST_NS = 1e-3
LARGEST_NS = 1e15  # eleven days
ROUNDING = 1e-9
MOST_FLAGS, MOST_FLAG = 100, 60  # of one network; characters of one
LATEST_S = 253_402_300_799.0  # Unix time of the last second that a calendar with four digits has
MOST_REASON = 600  # characters of a refusal


@dataclass(frozen=True, slots=True)
class Network:
    """One network: measured, or why not; times in ns."""

    arch: str  # in the space's encoding
    role: Role
    predicted: float | None  # None: the table lacks an operator of it
    predicted_low: float | None
    predicted_high: float | None
    measured: float | None  # None: see `failure`
    measured_low: float | None = None
    measured_high: float | None = None
    failure: str = ""  # why there is no number
    calibrated: float | None = None  # predicted once the table is calibrated
    calibrated_low: float | None = None
    calibrated_high: float | None = None
    measured_flags: tuple[str, ...] = ()  # of its entry, but `converged`
    predicted_flags: tuple[str, ...] = ()  # of the entries that its prediction adds up

    @property
    def busy(self) -> bool:
        """Whether a busy machine measured it: no measure of a prediction."""
        return not BUSY.isdisjoint(self.measured_flags)

    @property
    def usable(self) -> bool:
        """Whether it can be held against the table."""
        return self.measured is not None and self.predicted is not None

    @property
    def covered(self) -> bool | None:
        """Whether what was measured lies in the prediction's interval; None where that can't be told."""
        return _covered(self.measured, self.predicted_low, self.predicted_high)

    @property
    def covered_calibrated(self) -> bool | None:
        """The same of the calibrated prediction."""
        return _covered(self.measured, self.calibrated_low, self.calibrated_high)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The same networks predicted by the table once `networks` others have been seen: see lut.calibration.posterior."""

    networks: int
    figures: Figures
    coverage: float | None


@dataclass(frozen=True, slots=True)
class Validation:
    """What networks of one space that the table had never seen say of it, on one device and backend.

    `coverage`: the share of the networks that lie in their prediction's interval, which is one of `confidence`.
    `ceiling`: the same figures between two halves of the rounds: what noise alone leaves, which no prediction can be
    seen to beat; None: too few rounds.  `calibrated`: after calibration; None where there is none.  `anchor_shift`: how
    much slower the anchors were than in the table's first sitting, 0.01 is 1 %; None: it is the first, or
    `anchor_refusal` says why the two sittings can't be compared.
    """

    device: str
    backend: str
    space: str
    figures: Figures
    coverage: float | None
    confidence: float
    ceiling: Figures | None
    calibrated: Calibrated | None
    anchor_shift: float | None
    networks: tuple[Network, ...]
    study_id: str  # the job that measured the networks
    seed: int  # of their draw
    measured_s: float  # Unix time
    scope: str  # what the measured networks' intervals are over, as an entry's
    anchor_refusal: str = ""

    def __post_init__(self) -> None:
        """Raises SpecError naming what can't be true."""
        where = f"validation of {self.device[:80]!r} with {self.backend[:80]!r}"
        problem = next(_problems(self), None)
        if problem:
            raise SpecError(f"{where}: {problem}")

    @property
    def place(self) -> tuple[str, str]:
        """The device and the backend's key."""
        return self.device, self.backend

    @property
    def asked(self) -> int:
        """How many networks were drawn to validate with."""
        return sum(network.role == "validation" for network in self.networks)

    @property
    def used(self) -> tuple[Network, ...]:
        """The networks that the figures are of."""
        return tuple(network for network in self.networks if network.role == "validation" and network.usable)

    @property
    def busy_share(self) -> float:
        """Of the networks that the figures are of, those that a busy machine measured."""
        return sum(network.busy for network in self.used) / len(self.used) if self.used else 0.0

    @property
    def quiet_figures(self) -> Figures | None:
        """The figures of the others; None below two of them."""
        return figures_of([(n.predicted, n.measured) for n in self.used if not n.busy])

    @property
    def quiet_calibrated_figures(self) -> Figures | None:
        """The same of the calibrated predictions."""
        return figures_of([(n.calibrated, n.measured) for n in self.used if not n.busy])

    @property
    def quiet_coverage(self) -> float | None:
        """The share of the others that lies in the prediction's interval."""
        return share([network.covered for network in self.used if not network.busy])

    @property
    def unusable(self) -> tuple[Network, ...]:
        """The validation networks that could not be held against the table."""
        return tuple(network for network in self.networks if network.role == "validation" and not network.usable)

    def describe(self) -> str:
        """In one line."""
        text = f"validated against {self.figures.n} networks of {self.space}: {words(self.figures)}"
        text += "" if self.coverage is None else f", {100 * self.coverage:.0f} % in the prediction's interval"
        text += f", noise ceiling MAPE {100 * self.ceiling.mape:.1f} %" if self.ceiling else ""
        text += f", {len(self.unusable)} networks left out" if self.unusable else ""
        text += f"; {told}" if (told := self.busy_words()) else ""
        if self.calibrated:
            text += f"; calibrated on {self.calibrated.networks} networks: {words(self.calibrated.figures)}"
        return text

    def busy_words(self) -> str:
        """What share a busy machine measured, the figures of the others, and how many of them it measured the operators of.

        Empty where it measured none of either.
        """
        busy, others = [n for n in self.used if n.busy], [n for n in self.used if not n.busy]
        told: list[str] = []
        if busy:
            text = f"a busy machine measured {len(busy)} of the {len(self.used)}"
            if self.quiet_figures is None:
                return f"{text}: these figures are the machine's as much as the table's"
            told.append(f"{text}; of the {len(others)} others: {words(self.quiet_figures)}")
        if summed := sum(not BUSY.isdisjoint(network.predicted_flags) for network in others):
            which = f"{summed} of the {len(others)}" + (" others" if busy else "")
            told.append(f"{which} are predicted from operators that a busy machine measured")
        return "; ".join(told)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why networks that were measured on one device and backend do not serve a table."""

    device: str
    backend: str
    space: str
    reason: str

    def __post_init__(self) -> None:
        """Raises SpecError for a reason that is none, or too long."""
        if not 0 < len(self.reason) <= MOST_REASON:
            raise SpecError(
                f"{self.describe()[:60]!r} of {self.device[:80]!r} with {self.backend[:80]!r} has a reason of "
                f"{len(self.reason)} characters, not of 1 to {MOST_REASON}"
            )

    @property
    def place(self) -> tuple[str, str]:
        """The device and the backend's key."""
        return self.device, self.backend

    def describe(self) -> str:
        """In one line."""
        return f"networks of {self.space} do not count: {self.reason}"


@dataclass(frozen=True, slots=True)
class Refusal(Reason):
    """Why they say nothing of it."""

    def describe(self) -> str:
        """In one line."""
        return f"not validated against networks of {self.space}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Uncalibrated(Reason):
    """Why it is not calibrated on them."""

    def describe(self) -> str:
        """In one line."""
        return f"not calibrated for {self.space}: {self.reason}"


def _covered(measured_ns: float | None, low_ns: float | None, high_ns: float | None) -> bool | None:
    if measured_ns is None or low_ns is None or high_ns is None:
        return None
    return low_ns <= measured_ns <= high_ns


def _problems(validation: Validation) -> Iterator[str]:
    """What can't be true of a validation, in words."""
    if len(validation.networks) > MOST_NETWORKS:
        yield f"{len(validation.networks)} networks; {MOST_NETWORKS} is the most"
    if len({network.arch for network in validation.networks}) < len(validation.networks):
        yield "a network stands twice"
    if len(validation.anchor_refusal) > MOST_REASON:
        yield f"anchor_refusal has more than {MOST_REASON} characters"
    if not 0 <= validation.measured_s <= LATEST_S:
        yield f"measured_s is {validation.measured_s!r}, no Unix time from 0 to {LATEST_S:.0f}"
    if not 0 < validation.confidence < 1:
        yield f"confidence is {validation.confidence!r}, not between 0 and 1"
    for network in validation.networks:
        if len(network.arch) > MOST_CHARACTERS:
            yield f"an architecture has more than {MOST_CHARACTERS} characters"
        yield from (f"network {network.arch[:80]}: {problem}" for problem in _network_problems(network))
    calibrated = validation.calibrated
    every = [
        ("figures", validation.figures),
        ("ceiling", validation.ceiling),
        ("calibrated.figures", calibrated and calibrated.figures),
    ]
    for name, figures in every:
        if figures is not None and not _possible(figures):
            yield f"{name} can't be true: {figures}"[:300]
    for name, covered in (("coverage", validation.coverage), ("calibrated.coverage", calibrated and calibrated.coverage)):
        if covered is not None and not 0 <= covered <= 1:
            yield f"{name} is {covered!r}, not from 0 to 1"
    yield from _contradictions(validation)


def _network_problems(network: Network) -> Iterator[str]:
    flags = (*network.measured_flags, *network.predicted_flags)
    if len(flags) > MOST_FLAGS or any(not 0 < len(flag) <= MOST_FLAG or not flag.isprintable() for flag in flags):
        yield "it has flags that are none"
    for kind in ("predicted", "measured", "calibrated"):
        middle, low, high = (getattr(network, f"{kind}{part}") for part in ("", "_low", "_high"))
        if any(ns is not None and not 0 <= ns <= LARGEST_NS for ns in (middle, low, high)):
            yield f"{kind} is not from 0 to {LARGEST_NS:g} ns"
        elif middle is not None and not (low if low is not None else middle) <= middle <= (high if high is not None else middle):
            yield f"{kind} lies outside its interval"
    if network.measured is not None and network.measured < LEAST_NS:
        yield f"it was measured to take {network.measured:g} ns"


def _possible(figures: Figures) -> bool:
    shares = (figures.within_5_percent, figures.within_10_percent)
    ranks = [rank for rank in (figures.kendall_tau, figures.spearman) if rank is not None]
    finite = all(math.isfinite(value) for value in (figures.mape, figures.bias, figures.worst, *shares, *ranks))
    most = figures.worst * (1 + ROUNDING)
    return (
        finite
        and 1 <= figures.n <= MOST_NETWORKS
        and 0 <= abs(figures.bias) * (1 - ROUNDING) <= figures.mape + ROUNDING
        and figures.mape <= most
        and 0 <= shares[0] <= shares[1] <= 1
        and all(abs(rank) <= 1 + ROUNDING for rank in ranks)
    )


def _contradictions(validation: Validation) -> Iterator[str]:
    """Figures that are not those of the networks: they are all counted again, but for the ceiling's.

    That is of halves of the rounds, which the networks do not hold.
    """
    used, calibrated = validation.used, validation.calibrated
    yield from _miscounted("figures", validation.figures, [(n.predicted, n.measured) for n in used])
    yield from _miscovered("coverage", validation.coverage, [n.covered for n in used])
    mended = [n for n in used if n.calibrated is not None]
    if calibrated is None:
        if mended:
            yield f"{len(mended)} networks have calibrated predictions, but there are no figures of them"
    else:
        yield from _miscounted("calibrated.figures", calibrated.figures, [(n.calibrated, n.measured) for n in mended])
        yield from _miscovered("calibrated.coverage", calibrated.coverage, [n.covered_calibrated for n in mended])
        if calibrated.networks < 1:
            yield f"calibrated on {calibrated.networks} networks"
    if validation.ceiling and validation.ceiling.n > len(used):
        yield f"a ceiling of {validation.ceiling.n} networks, but {len(used)} were held against the table"


def _miscounted(name: str, figures: Figures, pairs: Sequence[tuple[float | None, float | None]]) -> Iterator[str]:
    """What figures say and what the networks come to, where these differ by more than rounding."""
    if len(pairs) != figures.n:
        yield f"{name} of {figures.n} networks, but {len(pairs)} have both numbers"
        return
    counted = compare([predicted or 0.0 for predicted, _ in pairs], [measured or 0.0 for _, measured in pairs])
    for field in fields(Figures):
        said, true = getattr(figures, field.name), getattr(counted, field.name)
        if field.name.startswith("within_"):
            least, most = _either_side(pairs, 0.05 if field.name == "within_5_percent" else 0.10)
            right = least - ROUNDING <= said <= most + ROUNDING
        else:
            right = _same(said, true)
        if not right:
            yield f"{name} say {field.name} {_shown(said)}, its networks {_shown(true)}"


def _either_side(pairs: Sequence[tuple[float | None, float | None]], edge: float) -> tuple[float, float]:
    """The least and the largest share within an edge: a network right on it falls to either side by rounding."""
    errors = [abs((predicted or 0.0) / measured - 1) for predicted, measured in pairs if measured]
    least, most = (sum(error < edge + margin for error in errors) for margin in (-ROUNDING, ROUNDING))
    return least / len(errors), most / len(errors)


def _miscovered(name: str, coverage: float | None, covered: Sequence[bool | None]) -> Iterator[str]:
    if not _same(coverage, share(covered)):
        yield f"{name} is {_shown(coverage)}, of its networks {_shown(share(covered))}"


def _same(said: float | None, counted: float | None) -> bool:
    if said is None or counted is None:
        return said is counted
    return abs(said - counted) <= ROUNDING * (1 + abs(counted))


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:g}"
