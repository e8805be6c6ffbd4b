"""Kinds of devices: profiles and how they are found."""

from lutfarm_profiles.loader import load, names
from lutfarm_profiles.profile import DeviceProfile

__all__ = ["DeviceProfile", "load", "names"]
