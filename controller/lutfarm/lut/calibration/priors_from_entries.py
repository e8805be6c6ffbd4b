"""A table's operators as a calibration takes them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm.lut.calibration.design import Estimate
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.schema.manifest import Manifest
from lutfarm_jobs.measurement_key import named

LEAST_SHARE = 0.1  # of an entry that is hardly more than the call


def estimates(entries: Sequence[Entry], manifest: Manifest) -> dict[str, Estimate]:
    """The operators of one device and backend, by key.

    What was measured alone carries a call of the runtime each time, a network only one: it is taken off.
    """
    devices = manifest.devices if manifest.composition == "isolated" else ()
    floors = {device.device: device.call_floor_ns for device in devices}
    return {
        name: _without_call(entry, floors.get(entry.device, {}))
        for entry in entries
        if entry.kind == "measured" and (name := named(entry.workload, "operator"))
    }


def _without_call(entry: Entry, floors_ns: Mapping[str, int]) -> Estimate:
    """`floors_ns`: by backend, what a call costs that computes nothing, where the device's probes said so."""
    whole_ns = entry.estimate or 0.0
    error_ns = whole_ns * (entry.relative_error or 0.0)
    own_ns = max(whole_ns - floors_ns.get(entry.backend, 0), LEAST_SHARE * whole_ns)
    return Estimate(own_ns, error_ns / own_ns if own_ns else 0.0)
