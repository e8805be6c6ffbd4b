"""What a manifest says of devices is what they were when the runs were made."""

from __future__ import annotations

from dataclasses import replace

from tests.lut_kit import entry, manifest

from lutfarm.lut import LatencyTable, TableDevice
from lutfarm.lut.building.manifest_as_measured import as_measured

SAID_TODAY = TableDevice("desk", "generic", system="Linux 6.9", python="3.12")


def test_what_was_upgraded_since_is_told_as_it_was() -> None:
    prints = {"f1": {"os": "Linux 6.1", "python": "3.11"}}
    made = manifest(devices=(SAID_TODAY,), fingerprints=prints)
    found = as_measured(LatencyTable.of([replace(entry("conv_a"), fingerprint="f1")], made))
    assert [(device.system, device.python) for device in found.devices] == [("Linux 6.1", "3.11")]


def test_a_device_whose_runs_say_nothing_of_it_is_told_as_it_is() -> None:
    found = as_measured(LatencyTable.of([entry("conv_a")], manifest(devices=(SAID_TODAY,))))
    assert found.devices == (SAID_TODAY,)
