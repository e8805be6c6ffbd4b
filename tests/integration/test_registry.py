"""Registered devices with their profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from lutfarm.devices.registry import with_profiles
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError
from lutfarm_profiles import DeviceProfile, loader


def test_each_kind_is_read_once_however_many_devices_are_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    read: list[str] = []
    load = loader.load

    def noted(name: str) -> DeviceProfile:
        read.append(name)
        return load(name)

    monkeypatch.setattr(loader, "load", noted)
    kinds = {"a": "generic-android", "b": "raspberry-pi-4-b", "c": "generic-android"}
    found = with_profiles(Device(name, profile, "local", LocalAddress()) for name, profile in kinds.items())
    assert {name: each.profile.name for name, each in found.items()} == kinds
    assert [each.name for each in found.values()] == list(kinds)
    assert sorted(read) == ["generic-android", "raspberry-pi-4-b"]


def test_a_kind_that_is_no_more_is_refused_by_its_name() -> None:
    with pytest.raises(SpecError, match="'gone'"):
        with_profiles([Device("a", "gone", "local", LocalAddress())])
