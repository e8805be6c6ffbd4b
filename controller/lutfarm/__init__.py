"""lutfarm: how long operators and models take on real devices, as tables one can trust."""

from lutfarm.lut import LatencyTable, Prediction
from lutfarm.lut import load as load_table

__all__ = ["LatencyTable", "Prediction", "load_table"]
