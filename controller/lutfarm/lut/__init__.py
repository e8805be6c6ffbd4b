"""Latency lookup tables: built from runs, predicted from, validated, written and read."""

from lutfarm.lut.calibration import Calibration
from lutfarm.lut.entry import BackendFacts, DeviceFacts, Entry, Manifest, PoolFacts, UnitEffect
from lutfarm.lut.files import load, save
from lutfarm.lut.pools import Pooling, pooled, without_moved
from lutfarm.lut.predict import MissingEntry, Prediction
from lutfarm.lut.table import LatencyTable
from lutfarm.lut.validate import Figures, Network, Refusal, Uncalibrated, Validation, compare

__all__ = [
    "BackendFacts",
    "Calibration",
    "DeviceFacts",
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
    "Uncalibrated",
    "UnitEffect",
    "Validation",
    "compare",
    "load",
    "pooled",
    "save",
    "without_moved",
]
