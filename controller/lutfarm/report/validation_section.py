"""From a table's validations to what the page prints of whole networks.  Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lutfarm.lut import Figures, LatencyTable, Network, Validation
from lutfarm.lut.schema.figures import words as figure_words
from lutfarm.lut.table import UNVALIDATED
from lutfarm.report.plots import prediction_plot
from lutfarm.report.rows import calibrated_spots, plain_spots
from lutfarm.report.wording import latency, latency_interval, percent, printable, scope, signed_percent


@dataclass(frozen=True, slots=True)
class NetworkLine:
    """One network, as it is printed; `calibrated` is empty where the table is not."""

    name: str
    predicted: str
    predicted_interval: str
    calibrated: str
    calibrated_interval: str
    measured: str
    measured_interval: str
    error: str
    calibrated_error: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure in each column of a comparison."""

    name: str
    words: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparedNetwork:
    """The networks of one device, backend and space."""

    heading: str
    columns: tuple[str, ...]  # plain sum, calibrated, noise ceiling: those that there are
    figures: tuple[FigureRow, ...]
    plot: str  # an svg element; empty where the networks are not told
    rows: tuple[NetworkLine, ...]
    left_out: tuple[tuple[str, str], ...]  # name and reason
    notes: tuple[str, ...]

    @property
    def calibrated(self) -> bool:
        """Whether there are calibrated predictions."""
        return any(row.calibrated for row in self.rows)


def comparisons(table: LatencyTable) -> tuple[ComparedNetwork, ...]:
    """Predicted against measured, for each device, backend and space that was validated."""
    validations = sorted(table.manifest.validations, key=lambda one: (*one.place, one.space))
    return tuple(_comparison(number, one, table) for number, one in enumerate(validations))


def unvalidated(table: LatencyTable) -> list[tuple[str, str]]:
    """The devices and backends of which nobody knows how well they predict networks, and why."""
    known = {one.place for one in table.manifest.validations}
    rows: list[tuple[str, str]] = []
    for device, backend in table.places:
        reasons = [one.describe() for one in table.manifest.refusals if one.place == (device, backend)]
        if not reasons and (device, backend) not in known:
            reasons = [UNVALIDATED]
        rows += [(printable(f"{backend} on {device}"), printable(reason)) for reason in reasons]
    return rows


def _comparison(number: int, validation: Validation, table: LatencyTable) -> ComparedNetwork:
    several = sum(one.place == validation.place for one in table.manifest.validations) > 1
    heading = printable(f"{validation.backend} on {validation.device}" + (f", {validation.space}" if several else ""))
    plain = plain_spots(validation)
    used = sorted(validation.used, key=lambda network: network.measured or 0.0)
    return ComparedNetwork(
        heading=heading,
        columns=_columns(validation),
        figures=_figure_rows(validation),
        plot=prediction_plot(
            plain, calibrated_spots(validation), name=f"networks{number}", title=f"Predicted against measured latency: {heading}"
        )
        if plain
        else "",
        rows=tuple(_line(network) for network in used),
        left_out=tuple((printable(network.arch), printable(network.failure)) for network in validation.unusable),
        notes=tuple(printable(note) for note in (*_notes(validation), *_uncalibrated(validation, table))),
    )


def _columns(validation: Validation) -> tuple[str, ...]:
    names = ["sum of entries"]
    if validation.calibrated:
        others = validation.calibrated.networks
        names.append(f"calibrated on {others} {'other' if others == 1 else 'others'}")
    return (*names, "noise ceiling") if validation.ceiling else tuple(names)


Show = Callable[[Figures], str]
_FIGURES: tuple[tuple[str, str, Show], ...] = (
    ("networks", "that the table had never seen", lambda f: str(f.n)),
    ("mean absolute error (MAPE)", "mean of |predicted − measured| / measured", lambda f: percent(f.mape)),
    ("bias", "mean of (predicted − measured) / measured", lambda f: signed_percent(f.bias)),
    ("largest error", "", lambda f: percent(f.worst)),
    ("within 5 %", "share of the networks", lambda f: f"{100 * f.within_5_percent:.0f} %"),
    ("within 10 %", "share of the networks", lambda f: f"{100 * f.within_10_percent:.0f} %"),
    ("Kendall’s τ", "1: the same ranking; 0: unrelated", lambda f: _rank(f.kendall_tau)),
    ("Spearman’s ρ", "of the ranks", lambda f: _rank(f.spearman)),
)


def _figure_rows(validation: Validation) -> tuple[FigureRow, ...]:
    every = [
        one
        for one in (validation.figures, validation.calibrated and validation.calibrated.figures, validation.ceiling)
        if one is not None
    ]
    rows = [FigureRow(name, words, tuple(show(figures) for figures in every)) for name, words, show in _FIGURES]
    covered = [_share(validation.coverage), *([_share(validation.calibrated.coverage)] if validation.calibrated else ())]
    covered += ["–"] if validation.ceiling else []
    words = f"share whose measurement lies in the prediction’s {100 * validation.confidence:g} % interval"
    return (*rows, FigureRow("in the interval", words, tuple(covered)))


def _rank(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "no intervals" if value is None else f"{100 * value:.0f} %"


def _notes(validation: Validation) -> Sequence[str]:
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(validation.measured_s))
    notes = [
        f"Networks of {validation.space}, drawn with seed {validation.seed}, measured by job {validation.study_id} of {made}."
    ]
    if busy := validation.busy_words():
        notes.append(f"{busy[0].upper()}{busy[1:]}.")
        if validation.busy_share and validation.quiet_calibrated_figures:
            notes.append(f"Of these others, calibrated: {figure_words(validation.quiet_calibrated_figures)}.")
    if validation.scope:
        notes.append(f"Intervals of the measured networks: {100 * validation.confidence:g} %, {scope(validation.scope)}.")
    if validation.anchor_shift is not None:
        notes.append(
            f"The anchors, measured in every sitting, took {signed_percent(validation.anchor_shift)} beside the table’s first "
            "sitting."
        )
    elif validation.anchor_refusal:
        notes.append(f"How far this sitting is from the table’s first can’t be said: {validation.anchor_refusal}.")
    return notes


def _uncalibrated(validation: Validation, table: LatencyTable) -> list[str]:
    """Why these predictions are not calibrated, though networks were measured for it."""
    uncalibrated = [one for one in table.manifest.uncalibrated if (one.place, one.space) == (validation.place, validation.space)]
    return [f"N{one.describe()[1:]}." for one in uncalibrated]


def _line(network: Network) -> NetworkLine:
    calibrated_ns, measured_ns = network.calibrated, network.measured or 0.0
    known = calibrated_ns is not None
    return NetworkLine(
        name=printable(network.arch),
        predicted=latency(network.predicted or 0.0),
        predicted_interval=latency_interval(network.predicted_low, network.predicted_high),
        calibrated=latency(calibrated_ns) if calibrated_ns is not None else "",
        calibrated_interval=latency_interval(network.calibrated_low, network.calibrated_high) if known else "",
        measured=latency(measured_ns) + (" (busy machine)" if network.busy else ""),
        measured_interval=latency_interval(network.measured_low, network.measured_high),
        error=signed_percent((network.predicted or 0.0) / measured_ns - 1),
        calibrated_error=signed_percent(calibrated_ns / measured_ns - 1) if calibrated_ns is not None else "",
    )
