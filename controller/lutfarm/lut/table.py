"""LatencyTable: measured latencies with where they come from."""
# pyright: reportMissingTypeStubs=false
# pandas carries no types.

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from lutfarm.lut.calibration.priors_from_entries import estimates
from lutfarm.lut.frames import pandas_frame, polars_frame
from lutfarm.lut.prediction.operator_latencies import Prices
from lutfarm.lut.prediction.predict_many import IntArray
from lutfarm.lut.prediction.predict_network import SUM, Prediction
from lutfarm.lut.priced_space import PricedSpace
from lutfarm.lut.schema.calibration_record import Calibration
from lutfarm.lut.schema.columns import Columns
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.schema.figures import Figures
from lutfarm.lut.schema.invariants import check, check_manifest
from lutfarm.lut.schema.manifest import Manifest
from lutfarm.lut.schema.validation_record import Refusal, Uncalibrated, Validation
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import MeasurementKey, runtime_of
from lutfarm_jobs.runtimes import RUNTIMES
from lutfarm_jobs.spaces.base import Space

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

PRICED_SPACES_KEPT = 8
UNVALIDATED = "never validated against whole networks"


class LatencyTable:
    """Entries and a manifest; never changed.  May hold several devices and backends: `select` one to predict."""

    def __init__(self, columns: Columns, manifest: Manifest) -> None:
        """Raises SpecError for an entry that can't be true; see `of`, `build` and `load` for other ways to make one."""
        check(columns)
        self._columns = columns
        self._manifest = manifest
        self._priced_spaces: dict[tuple[int, bool], tuple[Space, PricedSpace]] = {}
        if manifest.validations or manifest.refusals or manifest.calibrations or manifest.uncalibrated:
            check_manifest(manifest, self.places)

    @classmethod
    def of(cls, entries: Iterable[Entry], manifest: Manifest) -> LatencyTable:
        """From values.  Raises SpecError for an entry that can't be true, or twice the same key."""
        return cls(Columns.of_entries(tuple(entries)), manifest)

    @property
    def manifest(self) -> Manifest:
        """Where the table comes from."""
        return self._manifest

    @property
    def columns(self) -> Columns:
        """The entries as columns."""
        return self._columns

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The entries as values, made when they are first asked for."""
        return self._columns.entries()

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the entries, the same in every file format."""
        return self._columns.digest()

    @cached_property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The (device, backend key) pairs that have entries, in order of appearance."""
        return tuple(dict.fromkeys(zip(self._columns.texts("device"), self._columns.texts("backend"), strict=True)))

    def __len__(self) -> int:
        return len(self._columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LatencyTable):
            return NotImplemented
        return self._manifest == other._manifest and self._columns.equals(other._columns)

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __repr__(self) -> str:
        return f"<LatencyTable: {self.describe()}>"

    def select(self, *, device: str | None = None, backend: str | None = None) -> LatencyTable:
        """The entries of one device, one backend, or both.  Raises SpecError that lists what there is."""
        wanted = {name: value for name, value in (("device", device), ("backend", backend)) if value is not None}
        columns = self._columns.where(**wanted)
        if not len(columns):
            asked = " with ".join(wanted.values()) or "anything"
            raise SpecError(f"the table has no entry of {asked}; it has {self._placed()}")
        kept = [place for place in self.places if device in (None, place[0]) and backend in (None, place[1])]
        everything = len(kept) == len(self.places)
        return LatencyTable(columns, self._manifest if everything else _narrowed(self._manifest, kept))

    def with_manifest(self, manifest: Manifest) -> LatencyTable:
        """The same entries, said to come from elsewhere."""
        return LatencyTable(self._columns, manifest)

    def with_validations(self, validations: Sequence[Validation], refusals: Sequence[Refusal] = ()) -> LatencyTable:
        """The same entries with how they held up against measured networks, or why that can't be said.

        These take the place of all others.
        """
        return self.with_manifest(replace(self._manifest, validations=tuple(validations), refusals=tuple(refusals)))

    def with_calibrations(
        self, calibrations: Sequence[Calibration], *, uncalibrated: Sequence[Uncalibrated] = ()
    ) -> LatencyTable:
        """The same entries, whose predictions use what measured networks say, or why some calibrate nothing.

        These take the place of all others.
        """
        return self.with_manifest(replace(self._manifest, calibrations=tuple(calibrations), uncalibrated=tuple(uncalibrated)))

    def calibration(self, space_name: str) -> Calibration | None:
        """What predictions of a space use; None where they are plain sums.  Of a table of one device and backend."""
        calibrations = [one for one in self._manifest.calibrations if one.space == space_name]
        return calibrations[0] if calibrations and len(self.places) == 1 else None

    def validation(self, space_name: str) -> Validation | None:
        """How predictions of a space held up; None where none was measured.  Of a table of one device and backend."""
        validations = [one for one in self._manifest.validations if one.space == space_name]
        return validations[0] if validations and len(self.places) == 1 else None

    def figures(self, space_name: str, *, uncalibrated: bool = False) -> Figures | None:
        """How such predictions of a space held up; None where none was measured.  Of a table of one device and backend."""
        known = self.validation(space_name)
        if known is None or uncalibrated or self.calibration(space_name) is None:
            return known and known.figures
        return known.calibrated and known.calibrated.figures

    def to_pandas(self) -> pd.DataFrame:
        """The entries as a data frame, a row each, columns as in a .parquet file.  Raises ExtraMissing without pandas."""
        return pandas_frame(self._columns)

    def to_polars(self) -> pl.DataFrame:
        """The entries as a data frame, a row each, columns as in a .parquet file.  Raises ExtraMissing without polars."""
        return polars_frame(self._columns)

    def describe(self) -> str:
        """One line: what is in it, and for each device and backend whether it was ever held against whole networks."""
        return "; ".join((self.contents(), *self.claims()))

    def contents(self) -> str:
        """One line: how many entries of which kind, of which job and day."""
        kinds = {kind: self._columns.texts("kind").count(kind) for kind in ("measured", "zero", "failed")}
        words = [f"{kinds['measured']} entries measured"]
        words += [f"{kinds['zero']} zero by structure"] if kinds["zero"] else []
        words += [f"{kinds['failed']} failed"] if kinds["failed"] else []
        words[-1] += f" on {self._placed()}"
        words += [f"{len(self._manifest.missing)} not measured yet on {self._lacking()}"] if self._manifest.missing else []
        made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self._manifest.created_s))
        job = self._manifest.job_id or self._manifest.job_name
        return f"{', '.join(words)}; job {job}, {made}; composed: {self._manifest.composition}"

    def claims(self) -> list[str]:
        """For each device and backend how well it predicts networks, or that nobody knows; and what is calibrated."""
        lines: list[str] = []
        for device, backend in self.places:
            where = f"{device} with {backend}: "
            validations = [one for one in self._manifest.validations if one.place == (device, backend)]
            refused = [one for one in self._manifest.refusals if one.place == (device, backend)]
            lines += [where + one.describe() for one in (*validations, *refused)] or [where + UNVALIDATED]
            for one in (c for c in self._manifest.calibrations if (c.device, c.backend) == (device, backend)):
                if all(v.space != one.space or v.calibrated is None for v in validations):
                    lines.append(f"{where}{one.describe()} of {one.space}, never validated since")
            lines += [where + one.describe() for one in self._manifest.uncalibrated if one.place == (device, backend)]
        return lines or [UNVALIDATED]

    def predict(
        self, space: Space, arch: Sequence[int], *, allow_partial: bool = False, uncalibrated: bool = False
    ) -> Prediction:
        """The latency of one architecture; with the table's calibration for the space, unless `uncalibrated`.

        Raises SpecError where the table has several devices or backends, or the architecture is not of the space;
        MissingEntry for an operator without a latency, unless `allow_partial`: then the result says what is missing.
        """
        return self._priced_space(space, uncalibrated=uncalibrated).one(arch, allow_partial=allow_partial)

    def predict_many(self, space: Space, archs: IntArray, *, interval: bool = False, uncalibrated: bool = False) -> FloatArray:
        """The latencies of architectures as rows of choice indices: integers, shape (n, layers).

        In ns, shape (n,); with `interval` (n, 3): estimate, low, high.  Raises SpecError for a choice that a layer does
        not have, MissingEntry where one of these networks needs an operator without a latency.
        """
        return self._priced_space(space, uncalibrated=uncalibrated).many(archs, interval=interval)

    def matrix(self, space: Space, *, uncalibrated: bool = False) -> FloatArray:
        """What each choice of each layer adds, in ns: shape (layers, most choices), NaN where there is no such choice.

        With `fixed_ns` it gives additive spaces exactly.  Of others (`space.additive` is false) it leaves out what
        depends on several choices at once: pruning, and additions between them.  Raises MissingEntry.
        """
        return self._priced_space(space, uncalibrated=uncalibrated).matrix()

    def fixed_ns(self, space: Space, *, uncalibrated: bool = False) -> float:
        """What every network of the space costs whatever its choices, in ns.  Raises MissingEntry."""
        return self._priced_space(space, uncalibrated=uncalibrated).fixed_ns()

    def computed(self, space: Space) -> Space:
        """The space in the operators that predictions add up.

        Those that the runtime really computes (`Space.under`), where the table has an entry of each; else, as in a
        published table, those of the choices.  Raises SpecError where the table has several devices or backends.
        """
        return self._priced_space(space, uncalibrated=True).space

    def _priced_space(self, space: Space, *, uncalibrated: bool) -> PricedSpace:
        """By identity: a space need not be hashable; keeping it keeps its id its own."""
        calibration = None if uncalibrated else self.calibration(space.name)
        known = (id(space), calibration is not None)
        if known not in self._priced_spaces:
            if len(self.places) != 1:
                raise SpecError(
                    f"a prediction needs one device and backend; select one of {self._placed()} "
                    "(select(device=..., backend=...), --device, --backend)"
                )
            prices = Prices(self._columns, " with ".join(self.places[0]))
            if len(self._priced_spaces) >= PRICED_SPACES_KEPT:
                self._priced_spaces.pop(next(iter(self._priced_spaces)))
            chosen, how = _computed(prices, space, runtime_of(self.places[0][1]))
            entries = estimates(self.entries, self._manifest) if calibration else {}
            self._priced_spaces[known] = (space, PricedSpace.of(prices, chosen, calibration, entries, how=how))
        return self._priced_spaces[known][1]

    def _placed(self) -> str:
        return ", ".join(" with ".join(place) for place in self.places) or "no device"

    def _lacking(self) -> str:
        """The devices and backends that lack entries, as their keys name them."""
        lacking = [MeasurementKey.parse(key) for key in self._manifest.missing]
        return ", ".join(dict.fromkeys(f"{of.device} with {of.backend}" for of in lacking))


def _computed(prices: Prices, space: Space, runtime: str) -> tuple[Space, str]:
    """The space in the operators that are added up, and in words which these are.

    Raises SpecError where that depends on a runtime of which nothing is known here.
    """
    seen = space.under(runtime)
    if runtime not in RUNTIMES and any(space.under(known) != seen for known in RUNTIMES.own()):
        raise SpecError(
            f"what {runtime} computes of a network of {space.name} is not known here: {RUNTIMES.unknown(runtime)}. Without it "
            "a prediction would add up what that runtime may compute at once, or not at all"
        )
    if seen == space:
        return space, SUM
    lacking = [operator.key for operator in seen.extras() if not prices.knows(operator)]
    if not lacking:
        return seen, f"{SUM} of what {runtime} computes"
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return space, f"{SUM} choice by choice (no entry of {lacking[0]}{more}, which {runtime} computes)"


def _narrowed(manifest: Manifest, kept: Sequence[tuple[str, str]]) -> Manifest:
    """What the manifest says of some places alone."""
    devices, backends = {device for device, _ in kept}, {backend for _, backend in kept}
    pools = tuple(pool for pool in manifest.pools if pool.name in devices)
    devices |= {device for pool in pools for device in pool.devices}
    return replace(
        manifest,
        devices=tuple(device for device in manifest.devices if device.device in devices),
        backends=tuple(
            replace(backend, versions={device: v for device, v in backend.versions.items() if device in devices})
            for backend in manifest.backends
            if backend.key in backends
        ),
        protocol={device: plan for device, plan in manifest.protocol.items() if device in devices},
        validations=tuple(one for one in manifest.validations if one.place in kept),
        refusals=tuple(one for one in manifest.refusals if one.place in kept),
        calibrations=tuple(one for one in manifest.calibrations if (one.device, one.backend) in kept),
        uncalibrated=tuple(one for one in manifest.uncalibrated if one.place in kept),
        pools=pools,
        missing=tuple(key for key in manifest.missing if any(f"/{u}/{b}/" in key for u, b in kept)),
    )
