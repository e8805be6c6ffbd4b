"""lutfarm: how long operators and models take on real devices, as tables one can trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutfarm.farm.farm import Farm
    from lutfarm.lut import LatencyTable, Prediction
    from lutfarm.lut import load as load_table

__all__ = ["Farm", "LatencyTable", "Prediction", "load_table"]


def __getattr__(name: str) -> Any:
    """Modules are imported when they are first asked for: the command line often needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Farm":
        from lutfarm.farm.farm import Farm

        return Farm
    from lutfarm import lut

    return lut.load if name == "load_table" else getattr(lut, name)
