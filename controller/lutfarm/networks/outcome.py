"""What measured networks say of a table's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lutfarm.agreement import BETWEEN_PLANS, disagreement, words
from lutfarm.lut import Entry, LatencyTable, Prediction, Validation, compare
from lutfarm.lut.predict import MissingEntry
from lutfarm.networks.calibrated import errors_of, estimates, observed, predictions_ns
from lutfarm.networks.study import StudyJob
from lutfarm.statistics.sweep import fit_sweep, halves
from lutfarm_jobs.errors import RunsDisagree, SpecError
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.spaces.base import Space

Role = Literal["validation", "calibration", "anchor"]
Levels = Mapping[str, Mapping[str, float]]         # by measurement key and round, in ns
LEAST_NETWORKS = 2


@dataclass(frozen=True, slots=True)
class Network:
    """One network: measured, or why not; times in ns."""

    arch: str                                      # in the space's encoding
    role: Role
    predicted_ns: float | None                     # None: the table lacks an operator of it
    predicted_low_ns: float | None
    predicted_high_ns: float | None
    measured_ns: float | None                      # None: see `failure`
    measured_low_ns: float | None = None
    measured_high_ns: float | None = None
    failure: str = ""                              # why there is no number

    @property
    def usable(self) -> bool:
        """Whether it can be held against the table."""
        return self.measured_ns is not None and self.predicted_ns is not None

    @property
    def covered(self) -> bool | None:
        """Whether what was measured lies in the prediction's interval; None where that can't be told."""
        if self.measured_ns is None or self.predicted_low_ns is None or self.predicted_high_ns is None:
            return None
        return self.predicted_low_ns <= self.measured_ns <= self.predicted_high_ns


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The same networks predicted by the table once `networks` others have been seen: see lut.posterior."""

    networks: int
    validation: Validation
    coverage: float


@dataclass(frozen=True, slots=True)
class PlaceOutcome:
    """One device and backend.

    `coverage`: the share of the networks that lie in their prediction's interval.  `ceiling`: the same figures between two
    halves of the processes: what noise alone leaves, which no prediction can be seen to beat; None: too few processes.
    `calibrated`: after calibration on the study's calibration networks; None where there is none.
    `anchor_shift`: how much slower the anchors were than in the table's first sitting, 0.01 is 1 %; None: it is the first.
    """

    unit: str
    backend_key: str
    validation: Validation
    coverage: float | None
    ceiling: Validation | None
    calibrated: Calibrated | None
    anchor_shift: float | None
    networks: tuple[Network, ...]

    @property
    def unusable(self) -> tuple[Network, ...]:
        """The validation networks that could not be held against the table."""
        return tuple(network for network in self.networks if network.role == "validation" and not network.usable)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one study says, place by place; `refused` says why there is nothing to say of the other places."""

    job_id: str                                    # whose table it is
    study_id: str                                  # the job that measured the networks
    space: str
    seed: int
    measured_s: float                              # Unix time
    places: tuple[PlaceOutcome, ...]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What a study's job came to: its table, and the level of each process by measurement key and round."""

    table: LatencyTable
    levels_ns: Levels


def outcome_of(
    job_id: str, study: StudyJob, table: LatencyTable, space: Space, measured: Measured, *,
    plan: Sequence[Measurement], first: Measured | None = None,
) -> Outcome:
    """Hold the predictions of a table against a study's networks; `first` is the table's first study, if that is another.

    Raises SpecError, naming them, where fewer than two networks can be used in any place.
    """
    places: list[PlaceOutcome] = []
    refused: list[str] = []
    for place in dict.fromkeys((m.unit, m.backend.key) for m in plan):
        try:
            places.append(_place(study, table, space, measured, first, plan, place))
        except SpecError as error:
            refused.append(error.detail)
    if not places:
        raise SpecError("; ".join(refused) or f"job {study.id} measured nothing where the table has entries")
    return Outcome(job_id, study.id, space.name, study.study.seed, study.created_s, tuple(places), tuple(refused))


def _place(
    study: StudyJob, table: LatencyTable, space: Space, measured: Measured, first: Measured | None,
    plan: Sequence[Measurement], place: tuple[str, str],
) -> PlaceOutcome:
    unit, backend = place
    part = table.select(unit=unit, backend=backend)
    entries = {entry.key: entry for entry in measured.table.entries}
    _check_agreement(part, measured.table, place)
    keys = {m.workload.name.removeprefix(f"{space.name}:"): m.key for m in plan if (m.unit, m.backend.key) == place}
    roles: tuple[Role, ...] = ("validation", "calibration", "anchor")
    networks = tuple(
        _network(part, space, arch, role, entries.get(keys.get(arch, "")))
        for role, archs in zip(roles, study.archs, strict=True) for arch in archs
    )
    used = [network for network in networks if network.role == "validation" and network.usable]
    if len(used) < LEAST_NETWORKS:
        failed = "; ".join(f"{n.arch}: {n.failure}" for n in networks if n.role == "validation" and not n.usable)
        raise SpecError(
            f"{unit} with {backend}: {len(used)} of {study.study.networks} networks can be held against the table, at least "
            f"{LEAST_NETWORKS} are needed ({failed[:1500]}); run the command again, or draw others with --seed"
        )
    return PlaceOutcome(
        unit, backend,
        compare([n.predicted_ns or 0.0 for n in used], [n.measured_ns or 0.0 for n in used],
                unit=unit, backend_key=backend, space=space.name),
        _coverage(used),
        _ceiling([keys[n.arch] for n in used], measured.levels_ns, place, space.name),
        _calibrated(part, space, networks, used, keys, measured.levels_ns, place),
        _shift([keys[n.arch] for n in networks if n.role == "anchor" and n.measured_ns], entries, first),
        networks,
    )


def _check_agreement(part: LatencyTable, networks: LatencyTable, place: tuple[str, str]) -> None:
    """Raises RunsDisagree where the table and the networks that it is held against were measured with different software."""
    both = [
        (label, found) for label, table in (("the table", part), ("its networks", networks)) for entry in table.entries
        if (entry.unit, entry.backend_key) == place and (found := table.manifest.fingerprints.get(entry.fingerprint))
    ]
    if differences := disagreement(both, may_differ=BETWEEN_PLANS):
        raise RunsDisagree(
            f"{place[0]} with {place[1]}: a table is not held against networks that were measured otherwise: "
            f"{words(differences)}.  Run the table's job and this command again"
        )


def _network(part: LatencyTable, space: Space, arch: str, role: Role, entry: Entry | None) -> Network:
    predicted: Prediction | None = None
    failure = ""
    try:
        predicted = part.predict(space, space.parse(arch))
    except MissingEntry as error:
        failure = f"not predicted: {error.detail[:300]}"
    if entry is None:
        failure = "not measured yet"
    elif entry.kind != "measured":
        failure = f"{entry.failure_code}: {(entry.failure_detail or '')[:300]}"
    found = entry if entry is not None and entry.kind == "measured" else None
    return Network(
        arch, role,
        predicted and predicted.latency_ns, predicted and predicted.low_ns, predicted and predicted.high_ns,
        found and found.estimate_ns, found and found.low_ns, found and found.high_ns, failure,
    )


def _calibrated(
    part: LatencyTable, space: Space, networks: Sequence[Network], used: Sequence[Network], keys: Mapping[str, str],
    levels_ns: Levels, place: tuple[str, str],
) -> Calibrated | None:
    spare = {n.arch: n.measured_ns or 0.0 for n in networks if n.role == "calibration" and n.usable}
    if not spare:
        return None
    fit = fit_sweep({key: levels_ns[key] for key in keys.values() if key in levels_ns})
    seen = part.computed(space)
    known = observed(seen, spare, errors_of(fit, keys))
    found = predictions_ns(estimates(part), seen, known, [space.parse(network.arch) for network in used])
    measured_ns = np.array([network.measured_ns or 0.0 for network in used])
    inside = (found[:, 1] <= measured_ns) & (measured_ns <= found[:, 2])
    return Calibrated(
        len(spare),
        compare(found[:, 0].tolist(), measured_ns.tolist(), unit=place[0], backend_key=place[1], space=space.name),
        float(inside.mean()),
    )


def _coverage(used: Sequence[Network]) -> float | None:
    told = [network.covered for network in used if network.covered is not None]
    return sum(told) / len(told) if told else None


def _ceiling(keys: Sequence[str], levels_ns: Levels, place: tuple[str, str], space: str) -> Validation | None:
    one, other = halves({key: levels_ns[key] for key in keys if key in levels_ns})
    if len(one) < LEAST_NETWORKS:
        return None
    return compare(list(one.values()), list(other.values()), unit=place[0], backend_key=place[1], space=space)


def _shift(keys: Sequence[str], entries: Mapping[str, Entry], first: Measured | None) -> float | None:
    if first is None:
        return None
    before = {entry.key: entry.estimate_ns for entry in first.table.entries if entry.kind == "measured"}
    ratios = [(entries[key].estimate_ns or 0.0) / (before[key] or 1.0) for key in keys if key in before]
    return float(np.exp(np.median(np.log(ratios)))) - 1 if ratios else None
