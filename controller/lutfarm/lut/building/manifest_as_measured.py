"""What a manifest says of devices and runtimes, as it was when the runs were made.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lutfarm.lut.schema.manifest import Manifest, TableDevice
from lutfarm.lut.table import LatencyTable


def as_measured(table: LatencyTable) -> Manifest:
    """The table's manifest with the facts of its entries' fingerprints.

    A device may have said something else since: what is upgraded after a job was measured does not change its table.
    """
    manifest = table.manifest
    prints: dict[str, Mapping[str, str]] = {}
    versions: dict[tuple[str, str], str] = {}
    for device, backend, name in zip(*(table.columns.texts(c) for c in ("device", "backend", "fingerprint")), strict=True):
        measured_with = manifest.fingerprints.get(name)
        if measured_with is not None:
            prints[device] = measured_with
            versions[backend, device] = measured_with.get("runtime", "")
    return replace(
        manifest,
        devices=tuple(_device(facts, prints.get(facts.device, {})) for facts in manifest.devices),
        backends=tuple(
            replace(facts, versions={**facts.versions, **{u: v for (key, u), v in versions.items() if key == facts.key and v}})
            for facts in manifest.backends
        ),
    )


def _device(facts: TableDevice, measured_with: Mapping[str, str]) -> TableDevice:
    names = {
        "system": "os",
        "machine": "machine",
        "cpu_model": "cpu_model",
        "governor": "governor",
        "python": "python",
        "runner_sha256": "runner_sha256",
    }
    known = {field: measured_with[name] for field, name in names.items() if name in measured_with}
    return replace(facts, **known)
