"""Measured networks as a calibration takes them, and calibrated predictions without a table.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lutfarm.lut.calibration.calibrated import composed
from lutfarm.lut.calibration.design import Estimate, Terms
from lutfarm.lut.calibration.posterior import calibrate
from lutfarm.lut.calibration.shared_effects import features_of, space_keys
from lutfarm.lut.schema.calibration_record import Observed, Priors
from lutfarm.statistics.intervals.sweep import SweepFit
from lutfarm.statistics.samples.process import FloatArray
from lutfarm_jobs.spaces.base import Space


def observed(space: Space, measured_ns: Mapping[str, float], errors: Mapping[str, float | None]) -> list[Observed]:
    """Measured networks as a calibration takes them; by architecture in the space's encoding, errors of logarithms."""
    return [
        Observed(space.parse(arch), composed(space, space.parse(arch)), ns, errors.get(arch)) for arch, ns in measured_ns.items()
    ]


def errors_of(fit: SweepFit | None, keys: Mapping[str, str]) -> dict[str, float | None]:
    """By architecture: how uncertain a swept network is beside the others; `keys`: its measurement's."""
    return {arch: fit.errors.get(key) if fit else None for arch, key in keys.items()}


def predictions_ns(
    entries: Mapping[str, Estimate],
    space: Space,
    known: Sequence[Observed],
    archs: Sequence[Sequence[int]],
    *,
    priors: Priors | None = None,
) -> FloatArray:
    """(m, 3): estimate, low, high for networks, from operators and the networks that are known.

    Raises SpecError where there is no known network, or one needs an operator without an entry.
    """
    keys = [key for key in space_keys(space) if key in entries]
    features = features_of(space, keys)
    posterior = calibrate(known, entries, features, priors=priors)
    column_of = {key: at for at, key in enumerate(keys)}
    counts = np.zeros((len(archs), len(keys)))
    for row, arch in enumerate(archs):
        for key, count in composed(space, arch).items():
            counts[row, column_of[key]] = count
    return posterior.intervals_ns(posterior.toward(Terms.of(keys, entries, features)), counts)
