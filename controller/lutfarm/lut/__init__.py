"""Latency lookup tables: built from runs, predicted from, validated, written and read."""

from lutfarm.lut.building.pooled import Pooling, pooled, without_moved
from lutfarm.lut.files import load, save
from lutfarm.lut.prediction.predict_network import MissingEntry, Prediction
from lutfarm.lut.schema.calibration_record import Calibration
from lutfarm.lut.schema.entry import Entry
from lutfarm.lut.schema.manifest import Manifest, PoolFacts, TableBackend, TableDevice, UnitEffect
from lutfarm.lut.schema.validation_record import Figures, Network, Refusal, Uncalibrated, Validation, compare
from lutfarm.lut.table import LatencyTable

__all__ = [
    "Calibration",
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
    "UnitEffect",
    "Validation",
    "compare",
    "load",
    "pooled",
    "save",
    "without_moved",
]
