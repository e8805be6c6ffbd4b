"""The profiles that are shipped: complete, sourced, and found by what real devices say."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs.errors import SpecError
from lutfarm_profiles import DeviceFacts, DeviceProfile, load_all, loader, propose

CATALOG = load_all(folder=Path("/nonexistent"))
BY_NAME = {profile.name: profile for profile in CATALOG}
KINDS = [profile for profile in CATALOG if not profile.name.startswith("generic-")]


def pi(model: str, compatible: str, soc: str) -> tuple[str, ...]:
    return (f"Raspberry Pi {model}\x00", f"raspberrypi,{compatible}\x00", f"brcm,{soc}\x00")


def test_the_kinds_that_a_lab_has_are_there() -> None:
    assert {profile.name for profile in KINDS} >= {
        "google-pixel-6", "samsung-galaxy-s22-exynos", "oneplus-9", "xiaomi-12t",
        "raspberry-pi-3-b-plus", "raspberry-pi-4-b", "raspberry-pi-5", "raspberry-pi-zero-2-w",
        "nvidia-jetson-nano", "nvidia-jetson-orin-nano", "coral-dev-board", "pynq-z2",
    }  # fmt: skip
    assert {name for name in BY_NAME if name.startswith("generic-")} == {
        "generic-android", "generic-linux", "generic-linux-aarch64", "generic-linux-armv7l", "generic-linux-x86_64"
    }  # fmt: skip


def test_names_are_unique_and_every_file_is_a_profile() -> None:
    files = [entry.name for entry in (resources.files("lutfarm_profiles") / "catalog").iterdir()]
    assert sorted(files) == sorted(f"{profile.name}.yaml" for profile in CATALOG)


@pytest.mark.parametrize("profile", KINDS, ids=lambda profile: profile.name)
def test_every_kind_says_what_it_is_and_how_that_is_known(profile: DeviceProfile) -> None:
    assert profile.sources
    assert profile.vendor
    assert profile.model
    assert profile.soc
    assert profile.limits.memory_bytes <= profile.memory_budget_bytes


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.name)
def test_the_measured_cores_are_the_fastest_and_none_is_in_two_clusters(profile: DeviceProfile) -> None:
    cpus = [cpu for cluster in profile.clusters if cluster.cpus != "all" for cpu in cluster.cpus]
    assert len(set(cpus)) == len(cpus)
    measured = next(cluster for cluster in profile.clusters if cluster.name == profile.measured_cluster)
    known = [cluster.max_khz for cluster in profile.clusters if cluster.max_khz]
    assert not known or measured.max_khz == max(known)


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.name)
def test_what_adb_reaches_is_kept_where_adb_may_write(profile: DeviceProfile) -> None:
    if profile.transport == "adb":
        assert profile.lock_path == "/data/local/tmp/lutfarm-device.lock"
        assert profile.work_dir == "/data/local/tmp/lutfarm"
        assert profile.battery is not None
    else:
        assert profile.lock_path == "/tmp/lutfarm-device.lock"
        assert profile.work_dir == ".lutfarm"
        assert profile.battery is None


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (DeviceFacts(properties={"ro.product.device": "oriole", "ro.hardware": "oriole"}, transport="adb"), "google-pixel-6"),
        (DeviceFacts(properties={"ro.product.device": "OnePlus9"}, transport="adb"), "oneplus-9"),
        (DeviceFacts(properties={"ro.product.device": "lemonade"}, transport="adb"), "oneplus-9"),
        (DeviceFacts(properties={"ro.product.device": "plato"}, transport="adb"), "xiaomi-12t"),
        (DeviceFacts(properties={"ro.product.device": "r0s"}, transport="adb"), "samsung-galaxy-s22-exynos"),
        (DeviceFacts(properties={"ro.product.device": "raven"}, transport="adb"), "generic-android"),
        (DeviceFacts(properties={"ro.product.device": "r0q"}, transport="adb"), "generic-android"),
        (DeviceFacts("aarch64", {}, pi("3 Model B Plus Rev 1.3", "3-model-b-plus", "bcm2837")), "raspberry-pi-3-b-plus"),
        (DeviceFacts("armv7l", {}, pi("3 Model B Plus Rev 1.3", "3-model-b-plus", "bcm2837")), "raspberry-pi-3-b-plus"),
        (DeviceFacts("aarch64", {}, pi("3 Model B Rev 1.2", "3-model-b", "bcm2837")), "generic-linux-aarch64"),
        (DeviceFacts("aarch64", {}, pi("4 Model B Rev 1.4", "4-model-b", "bcm2711")), "raspberry-pi-4-b"),
        (DeviceFacts("aarch64", {}, pi("5 Model B Rev 1.0", "5-model-b", "bcm2712")), "raspberry-pi-5"),
        (DeviceFacts("aarch64", {}, pi("Zero 2 W Rev 1.0", "model-zero-2-w", "bcm2837")), "raspberry-pi-zero-2-w"),
        (
            DeviceFacts("aarch64", {}, ("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210")),
            "nvidia-jetson-nano",
        ),
        (DeviceFacts("aarch64", {}, ("nvidia,p3450-0000", "nvidia,tegra210")), "nvidia-jetson-nano"),
        (
            DeviceFacts("aarch64", {}, ("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234")),
            "nvidia-jetson-orin-nano",
        ),
        (
            DeviceFacts("aarch64", {}, ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234")),
            "nvidia-jetson-orin-nano",
        ),
        (DeviceFacts("aarch64", {}, ("nvidia,p3768-0000+p3767-0000", "nvidia,tegra234")), "generic-linux-aarch64"),
        (DeviceFacts("aarch64", {}, ("Google i.MX8MQ Phanbell", "google,imx8mq-phanbell", "fsl,imx8mq")), "coral-dev-board"),
        (DeviceFacts("aarch64", {}, ("Freescale i.MX8MQ Phanbell", "fsl,imx8mq")), "coral-dev-board"),
        (DeviceFacts("armv7l", {}, ("xlnx,zynq-7000",)), "generic-linux-armv7l"),
        (DeviceFacts("armv8l"), "generic-linux-armv7l"),
        (DeviceFacts("x86_64"), "generic-linux-x86_64"),
        (DeviceFacts("riscv64"), "generic-linux"),
    ],
)
def test_real_devices_are_recognised(facts: DeviceFacts, name: str) -> None:
    found = propose(facts, CATALOG)
    assert found.profile == name
    assert found.generic == name.startswith("generic-")
    assert bool(found.undetected) == found.generic


def test_every_kind_but_the_nameless_one_is_recognised_by_each_string_that_it_names() -> None:
    for profile in KINDS:
        for entry in profile.detect.device_tree:
            assert propose(DeviceFacts(device_tree=(entry,)), CATALOG).profile == profile.name
        for name, values in profile.detect.properties.items():
            for value in values:
                assert propose(DeviceFacts(properties={name: value}), CATALOG).profile == profile.name
    assert [profile.name for profile in KINDS if not profile.detect.is_particular] == ["pynq-z2"]


STRINGS = sorted({entry for profile in CATALOG for entry in profile.detect.device_tree})
DEVICES = sorted({value for profile in CATALOG for values in profile.detect.properties.values() for value in values})


@given(
    tree=st.lists(st.sampled_from(STRINGS), max_size=4), device=st.sampled_from(DEVICES), machine=st.sampled_from(["", "aarch64"])
)
def test_no_device_fits_two_shipped_kinds_equally(tree: list[str], device: str, machine: str) -> None:
    assert propose(DeviceFacts(machine, {"ro.product.device": device}, tuple(tree)), CATALOG).profile in BY_NAME


def test_ones_own_copy_of_a_kind_must_be_told_apart(tmp_path: Path) -> None:
    text = (resources.files("lutfarm_profiles") / "catalog" / "raspberry-pi-5.yaml").read_text()
    (tmp_path / "my-pi.yaml").write_text(text.replace("name: raspberry-pi-5", "name: my-pi"))
    facts = DeviceFacts("aarch64", {}, ("raspberrypi,5-model-b", "brcm,bcm2712"))
    with pytest.raises(SpecError, match="my-pi and raspberry-pi-5"):
        propose(facts, load_all(folder=tmp_path))
    (tmp_path / "my-pi.yaml").rename(tmp_path / "raspberry-pi-5.yaml")
    (tmp_path / "raspberry-pi-5.yaml").write_text(text.replace("Raspberry Pi 5 Model B,", "Mine,"))
    assert propose(facts, load_all(folder=tmp_path)).profile == "raspberry-pi-5"


def test_without_profiles_those_that_are_installed_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert propose(DeviceFacts("aarch64", {}, ("raspberrypi,4-model-b",))).profile == "raspberry-pi-4-b"


def test_a_shipped_kind_without_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (resources.files("lutfarm_profiles") / "catalog" / "generic-linux.yaml").read_text()
    (tmp_path / "bare.yaml").write_text(text.replace("name: generic-linux", "name: bare"))
    assert loader.load("bare", folder=tmp_path).name == "bare"
    monkeypatch.setattr(loader, "_catalog", lambda: tmp_path)
    with pytest.raises(SpecError, match="bare has no sources"):
        loader.load("bare", folder=tmp_path / "none")
