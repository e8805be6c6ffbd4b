"""What measured networks say of a table's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lutfarm.lut import Calibration, Entry, Figures, LatencyTable, Network, Prediction, Validation, compare
from lutfarm.lut.prediction.predict_network import MissingEntry
from lutfarm.lut.schema.calibration_record import calibration_of
from lutfarm.lut.schema.figures import share
from lutfarm.lut.schema.validation_record import MOST_REASON, Calibrated, Role, Uncalibrated
from lutfarm.lut.verdict import LEAST_CALIBRATION
from lutfarm.records.fingerprints import BETWEEN_SLICINGS, BETWEEN_WORKLOADS, disagreement, words
from lutfarm.statistics.intervals.sweep import fit_sweep, halves
from lutfarm.validation.calibration_input import errors_of, observed
from lutfarm.validation.study import StudyJob
from lutfarm_jobs.errors import RunsDisagree, SpecError
from lutfarm_jobs.measurement import Measurement, Place
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.spaces.base import Space

ProcessEstimates = Mapping[str, Mapping[str, float]]  # by measurement key and round, in ns
LEAST_NETWORKS = 2


@dataclass(frozen=True, slots=True)
class ValidationOutcome:
    """What one study says, a validation for each place; `refused` says why there is nothing to say of the other places."""

    job_id: str  # whose table it is
    study_id: str  # the job that measured the networks
    space: str
    seed: int
    measured_s: float  # Unix time
    validations: tuple[Validation, ...]
    refused: tuple[str, ...] = ()
    uncalibrated: tuple[Uncalibrated, ...] = ()  # places whose calibration networks calibrate nothing


@dataclass(frozen=True, slots=True)
class Validated:
    """What one study says of a table; `unvalidated`: the table's places that lack operators which most networks need."""

    outcome: ValidationOutcome
    unvalidated: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredNetworks:
    """What a study's job came to: its table, and the estimate of each run by measurement key and round."""

    table: LatencyTable
    estimates: ProcessEstimates


@dataclass(frozen=True, slots=True)
class StudyOnTable:
    """A study and what it is held against: a table, the study's space, its plan, and what was measured."""

    study: StudyJob
    table: LatencyTable  # without calibration
    space: Space
    measured: MeasuredNetworks
    plan: Sequence[Measurement]
    first: MeasuredNetworks | str | None = None  # of the table's first study, if that is another; or why it can't be read

    @property
    def places(self) -> list[Place]:
        """Where its networks were measured."""
        return list(dict.fromkeys((m.device, m.backend.key) for m in self.plan))

    def keys(self, place: Place) -> dict[str, str]:
        """The measurements of a place, by architecture in the space's encoding."""
        mine = [m for m in self.plan if (m.device, m.backend.key) == place]
        return {named(m.workload.name, self.space.name) or m.workload.name: m.key for m in mine}

    def networks(self, place: Place) -> tuple[Network, ...]:
        """Each with its plain prediction and what was measured."""
        part = self.table.select(device=place[0], backend=place[1])
        entries = {entry.key: entry for entry in self.measured.table.entries}
        keys = self.keys(place)
        roles: tuple[Role, ...] = ("validation", "calibration", "anchor")
        return tuple(
            _network(part, self.space, arch, role, entries.get(keys.get(arch, "")))
            for role, archs in zip(roles, self.study.archs, strict=True)
            for arch in archs
        )


def calibration_for(on_table: StudyOnTable, place: Place) -> Calibration | Uncalibrated | None:
    """From the study's calibration networks of a place that a quiet machine measured; None where there are none at all.

    Fewer than LEAST_CALIBRATION calibrate nothing: why is said.  Raises RunsDisagree where they were measured with other
    software than the table.
    """
    _check_agreement(on_table, place)
    wanted = [network for network in on_table.networks(place) if network.role == "calibration"]
    spare = {n.arch: n.measured or 0.0 for n in wanted if n.usable and not n.busy}
    busy = sum(network.usable and network.busy for network in wanted)
    if not wanted:
        return None
    if len(spare) < LEAST_CALIBRATION:
        return Uncalibrated(*place, on_table.space.name, _too_few(len(spare), busy, len(wanted)))
    keys, estimates_ns = {arch: key for arch, key in on_table.keys(place).items() if arch in spare}, on_table.measured.estimates
    fit = fit_sweep({key: estimates_ns[key] for key in keys.values() if key in estimates_ns})
    return calibration_of(
        observed(on_table.table.select(device=place[0], backend=place[1]).computed(on_table.space), spare, errors_of(fit, keys)),
        space=on_table.space.name,
        device=place[0],
        backend=place[1],
        confidence=_confidence(on_table.table),
        left_out=busy,
        flags={flag for network in wanted if network.arch in spare for flag in network.measured_flags},
    )


def _too_few(good: int, busy: int, wanted: int) -> str:
    why = f"a busy machine measured {busy} others" if busy else f"{wanted} were asked for"
    cure = "measure others on a quieter machine (another --seed)" if busy else f"ask for {LEAST_CALIBRATION} or more"
    return f"{good} of its networks are good enough, at least {LEAST_CALIBRATION} are needed ({why}); {cure}"


def outcome_of(on_table: StudyOnTable, calibrations: Mapping[Place, Calibration | Uncalibrated]) -> ValidationOutcome:
    """Hold the predictions of a table against a study's networks, and those that the calibrations give.

    Raises SpecError, naming them, where fewer than two networks can be used in any place.
    """
    fitted = {place: one for place, one in calibrations.items() if isinstance(one, Calibration)}
    uncalibrated = tuple(one for one in calibrations.values() if isinstance(one, Uncalibrated))
    results = [validation_or_refusal(on_table, place, fitted.get(place)) for place in on_table.places]
    validations = tuple(one for one in results if isinstance(one, Validation))
    refused = tuple(one for one in results if isinstance(one, str))
    study, job_id = on_table.study, on_table.table.manifest.job_id
    if not validations:
        raise SpecError("; ".join(refused) or f"job {study.id} measured nothing where the table has entries")
    return ValidationOutcome(
        job_id, study.id, on_table.space.name, study.study.seed, study.created_s, validations, refused, uncalibrated
    )


def validation_or_refusal(on_table: StudyOnTable, place: Place, calibration: Calibration | None) -> Validation | str:
    """What a study says of one place, or why it says nothing."""
    try:
        return _validation(on_table, place, calibration)
    except SpecError as error:
        return error.detail


def _validation(on_table: StudyOnTable, place: Place, calibration: Calibration | None) -> Validation:
    device, backend = place
    study, networks = on_table.study, on_table.networks(place)
    _check_agreement(on_table, place)
    used = [network for network in networks if network.role == "validation" and network.usable]
    if len(used) < LEAST_NETWORKS:
        failed = "; ".join(f"{n.arch}: {n.failure}" for n in networks if n.role == "validation" and not n.usable)
        raise SpecError(
            f"{device} with {backend}: {len(used)} of {study.study.networks} networks can be held against the table, at least "
            f"{LEAST_NETWORKS} are needed ({failed[:1500]}); run the command again, or draw others with --seed"
        )
    if calibration is not None:
        networks = _corrected(on_table, place, calibration, networks)
    entries = {entry.key: entry for entry in on_table.measured.table.entries}
    keys = on_table.keys(place)
    used_keys = [keys[network.arch] for network in used]
    shift, why = _shift([keys[n.arch] for n in networks if n.role == "anchor" and n.measured], on_table)
    return Validation(
        device=device,
        backend=backend,
        space=on_table.space.name,
        figures=compare([n.predicted or 0.0 for n in used], [n.measured or 0.0 for n in used]),
        coverage=share([network.covered for network in used]),
        confidence=_confidence(on_table.table),
        ceiling=_ceiling(used_keys, on_table.measured.estimates),
        calibrated=_calibrated(networks, calibration),
        anchor_shift=shift,
        anchor_refusal=why,
        networks=networks,
        study_id=study.id,
        seed=study.study.seed,
        measured_s=study.created_s,
        scope="; ".join(sorted({entries[key].scope for key in used_keys} - {""})),
    )


def _check_agreement(on_table: StudyOnTable, place: Place) -> None:
    """Raises RunsDisagree where the table and the networks that it is held against were measured with different software."""
    both = [
        labelled
        for label, table in (("the table", on_table.table), ("its networks", on_table.measured.table))
        for labelled in _labelled(label, table, [e for e in table.entries if (e.device, e.backend) == place])
    ]
    if differences := disagreement(both, may_differ=BETWEEN_SLICINGS | BETWEEN_WORKLOADS):
        raise RunsDisagree(
            f"{place[0]} with {place[1]}: a table is not held against networks that were measured otherwise: "
            f"{words(differences)}.  Run the table's job and this command again"
        )


def _labelled(label: str, table: LatencyTable, entries: Sequence[Entry]) -> list[tuple[str, Mapping[str, str]]]:
    """What some entries of a table were made with."""
    fingerprints = table.manifest.fingerprints
    return [(label, fingerprint) for entry in entries if (fingerprint := fingerprints.get(entry.fingerprint))]


def _confidence(table: LatencyTable) -> float:
    """Of the intervals of the table's entries: they all have the job's."""
    return max(entry.confidence for entry in table.entries)


def _network(part: LatencyTable, space: Space, arch: str, role: Role, entry: Entry | None) -> Network:
    predicted: Prediction | None = None
    failure = ""
    try:
        predicted = part.predict(space, space.parse(arch), uncalibrated=True)
    except MissingEntry as error:
        failure = f"not predicted: {error.detail[:300]}"
    if entry is None:
        failure = "not measured yet"
    elif entry.kind != "measured":
        failure = f"{entry.failure_code}: {(entry.failure_detail or '')[:300]}"
    measured = entry if entry is not None and entry.kind == "measured" else None
    return Network(
        arch,
        role,
        predicted and predicted.estimate,
        predicted and predicted.low,
        predicted and predicted.high,
        measured and measured.estimate,
        measured and measured.low,
        measured and measured.high,
        failure,
        measured_flags=tuple(flag for flag in measured.flags if flag != "converged") if measured else (),
        predicted_flags=predicted.flags if predicted else (),
    )


def _corrected(
    on_table: StudyOnTable, place: Place, calibration: Calibration, networks: tuple[Network, ...]
) -> tuple[Network, ...]:
    """With the calibrated table's predictions; the networks that it was calibrated on have none."""
    part = on_table.table.select(device=place[0], backend=place[1]).with_calibrations([calibration])
    unseen = {n.arch: on_table.space.parse(n.arch) for n in networks if n.usable}
    unseen = {text: arch for text, arch in unseen.items() if tuple(arch) not in calibration.archs}
    if not unseen:
        return networks
    rows = part.predict_many(on_table.space, np.array(list(unseen.values()), dtype=np.int64), interval=True)
    calibrated = {text: [float(ns) for ns in row] for text, row in zip(unseen, rows, strict=True)}
    return tuple(
        replace(n, calibrated=calibrated[n.arch][0], calibrated_low=calibrated[n.arch][1], calibrated_high=calibrated[n.arch][2])
        if n.arch in calibrated
        else n
        for n in networks
    )


def _calibrated(networks: Sequence[Network], calibration: Calibration | None) -> Calibrated | None:
    used = [n for n in networks if n.role == "validation" and n.usable and n.calibrated is not None]
    if calibration is None or not used:
        return None
    return Calibrated(
        len(calibration.networks),
        compare([n.calibrated or 0.0 for n in used], [n.measured or 0.0 for n in used]),
        share([network.covered_calibrated for network in used]),
    )


def _ceiling(keys: Sequence[str], estimates_ns: ProcessEstimates) -> Figures | None:
    one, other = halves({key: estimates_ns[key] for key in keys if key in estimates_ns})
    if len(one) < LEAST_NETWORKS:
        return None
    return compare(list(one.values()), list(other.values()))


def _shift(keys: Sequence[str], on_table: StudyOnTable) -> tuple[float | None, str]:
    """How much slower the anchors were than in the first sitting, or why that can't be said; neither: it is the first."""
    if on_table.first is None or isinstance(on_table.first, str):
        return None, (on_table.first or "")[:MOST_REASON]
    sittings = [("the first sitting", on_table.first.table), ("this one", on_table.measured.table)]
    before, now = ({e.key: e for e in table.entries if e.kind == "measured" and e.key in keys} for _, table in sittings)
    both = [key for key in keys if key in before and key in now]
    if not both:
        return None, "no anchor was measured in both sittings"
    made = [
        one
        for (label, table), entries in zip(sittings, (before, now), strict=True)
        for one in _labelled(label, table, [entries[key] for key in both])
    ]
    if differences := disagreement(made):
        return None, f"the anchors were measured otherwise: {words(differences)}"[:MOST_REASON]
    ratios = [(now[key].estimate or 0.0) / (before[key].estimate or 1.0) for key in both]
    return float(np.exp(np.median(np.log(ratios)))) - 1, ""
