"""A table's predictions once a few measured networks have been seen.  Pure; the model is that of lut.posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.calibration import Observed, Priors
from lutfarm.lut.costs import FloatArray
from lutfarm.lut.effects import features_of, space_keys
from lutfarm.lut.posterior import calibrate
from lutfarm.lut.terms import Estimate, Terms
from lutfarm.statistics.sweep import SweepFit
from lutfarm_jobs.spaces.base import Space

PREFIX = "operator:"
LEAST_SHARE = 0.1                                  # of an entry that is hardly more than the call
QUANTILE = 1.96                                    # a half-width over this is taken for a standard error


def composed(space: Space, arch: Sequence[int]) -> dict[str, int]:
    """The operators of a network by key, without what is nothing by structure."""
    return {o.key: count for o, count in space.composition(arch).items() if count and not o.is_nothing}


def observed(space: Space, measured_ns: Mapping[str, float], errors: Mapping[str, float | None]) -> list[Observed]:
    """Measured networks as a calibration takes them; by architecture in the space's encoding, errors of logarithms."""
    return [
        Observed(space.parse(arch), composed(space, space.parse(arch)), ns, errors.get(arch))
        for arch, ns in measured_ns.items()
    ]


def errors_of(fit: SweepFit | None, keys: Mapping[str, str]) -> dict[str, float | None]:
    """By architecture: how uncertain a swept network is beside the others; `keys`: its measurement's."""
    return {arch: fit.errors.get(key) if fit else None for arch, key in keys.items()}


def estimates(part: LatencyTable) -> dict[str, Estimate]:
    """The operators of one device and backend.

    What was measured alone carries a call of the runtime each time, a network only one: it is taken off.
    """
    call_ns = _call_ns(part) if part.manifest.composition == "isolated" else 0.0
    return {
        entry.workload_key.removeprefix(PREFIX): _without_call(entry, call_ns)
        for entry in part.entries if entry.kind == "measured" and entry.workload_key.startswith(PREFIX)
    }


def _without_call(entry: Entry, call_ns: float) -> Estimate:
    whole_ns = entry.estimate_ns or 0.0
    error_ns = whole_ns * (entry.relative_half_width or 0.0) / QUANTILE
    own_ns = max(whole_ns - call_ns, LEAST_SHARE * whole_ns)
    return Estimate(own_ns, error_ns / own_ns if own_ns else 0.0)


def _call_ns(part: LatencyTable) -> float:
    """What a call costs that computes nothing, where the device's probes said so."""
    found = {device.unit: device.call_floor_ns for device in part.manifest.devices}
    return float(max((found.get(unit, {}).get(backend, 0) for unit, backend in part.places), default=0))


def predictions_ns(
    entries: Mapping[str, Estimate], space: Space, known: Sequence[Observed], archs: Sequence[Sequence[int]],
    *, priors: Priors | None = None,
) -> FloatArray:
    """(m, 3): estimate, low, high for networks, from operators and the networks that are known.

    Raises SpecError where there is no known network, or one needs an operator without an entry.
    """
    keys = [key for key in space_keys(space) if key in entries]
    features = features_of(space, keys)
    posterior = calibrate(known, entries, features, priors=priors)
    places = {key: at for at, key in enumerate(keys)}
    counts = np.zeros((len(archs), len(keys)))
    for row, arch in enumerate(archs):
        for key, count in composed(space, arch).items():
            counts[row, places[key]] = count
    return posterior.intervals_ns(posterior.toward(Terms.of(keys, entries, features)), counts)
