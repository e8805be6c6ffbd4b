"""Kinds of devices: profiles, how they are found, and which one fits a device."""

from lutfarm_profiles.loader import load, load_all, names
from lutfarm_profiles.match_profile import DeviceFacts, Proposal, propose
from lutfarm_profiles.profile import DeviceProfile

__all__ = ["DeviceFacts", "DeviceProfile", "Proposal", "load", "load_all", "names", "propose"]
