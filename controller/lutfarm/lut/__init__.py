"""Latency lookup tables: built from runs, predicted from, validated, written and read."""

from lutfarm.lut.entry import BackendFacts, DeviceFacts, Entry, Manifest
from lutfarm.lut.files import load, save
from lutfarm.lut.predict import MissingEntry, Prediction
from lutfarm.lut.table import LatencyTable
from lutfarm.lut.validate import Validation, compare

__all__ = [
    "BackendFacts",
    "DeviceFacts",
    "Entry",
    "LatencyTable",
    "Manifest",
    "MissingEntry",
    "Prediction",
    "Validation",
    "compare",
    "load",
    "save",
]
