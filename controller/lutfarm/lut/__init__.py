"""Latency lookup tables: built from runs, predicted from, validated, written and read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutfarm.lut.building.pooled import Pooling, pooled, without_moved
    from lutfarm.lut.files import load, save
    from lutfarm.lut.prediction.predict_network import MissingEntry, Prediction
    from lutfarm.lut.schema.calibration_record import Calibration
    from lutfarm.lut.schema.entry import Entry
    from lutfarm.lut.schema.figures import Figures, compare
    from lutfarm.lut.schema.manifest import DeviceEffect, Manifest, PoolFacts, TableBackend, TableDevice
    from lutfarm.lut.schema.validation_record import Network, Refusal, Uncalibrated, Validation
    from lutfarm.lut.table import LatencyTable

__all__ = [
    "Calibration",
    "DeviceEffect",
    "Entry",
    "Figures",
    "LatencyTable",
    "Manifest",
    "MissingEntry",
    "Network",
    "PoolFacts",
    "Pooling",
    "Prediction",
    "Refusal",
    "TableBackend",
    "TableDevice",
    "Uncalibrated",
    "Validation",
    "compare",
    "load",
    "pooled",
    "save",
    "without_moved",
]
_NAMES = {
    "building.pooled": ("Pooling", "pooled", "without_moved"),
    "files": ("load", "save"),
    "prediction.predict_network": ("MissingEntry", "Prediction"),
    "schema.calibration_record": ("Calibration",),
    "schema.entry": ("Entry",),
    "schema.manifest": ("Manifest", "PoolFacts", "TableBackend", "TableDevice", "DeviceEffect"),
    "schema.figures": ("Figures", "compare"),
    "schema.validation_record": ("Network", "Refusal", "Uncalibrated", "Validation"),
    "table": ("LatencyTable",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Each module is imported when something of it is first asked for: a job's verdict needs no table, so no pyarrow."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
