"""What a profile may say beyond cores and limits: temperature, battery, clocks, power, places, sources."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lutfarm_profiles.profile import DeviceProfile

BASE: dict[str, object] = {
    "name": "board",
    "description": "a board",
    "transport": "ssh",
    "runtimes": ["tflite"],
    "clusters": [{"name": "little", "cpus": [0, 1], "max_khz": 1_800_000}, {"name": "big", "cpus": [2, 3]}],
    "measured_cluster": "big",
    "lock_path": "/tmp/lock",
}
SENSOR = "/sys/class/hwmon/hwmon0/power1_input"
COUNTER = "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
THERMAL: dict[str, object] = {"limit_c": 70, "resume_c": 60}


def profile(**changes: object) -> DeviceProfile:
    return DeviceProfile.model_validate({**BASE, **changes})


def refusal(**changes: object) -> str:
    with pytest.raises(ValidationError) as caught:
        profile(**changes)
    return str(caught.value)


def test_a_profile_of_before_needs_nothing_new() -> None:
    found = profile()
    assert (found.thermal, found.battery, found.frequency, found.power_sensor) == (None, None, None, None)
    assert (found.warm_up_s, found.cooldown_s, found.work_dir, found.sources) == (0.0, 0.0, ".lutfarm", ())
    assert not found.detect.is_particular


def test_all_that_can_be_said_is_read() -> None:
    found = profile(
        vendor="V",
        model="M 1",
        soc="S",
        sources=["https://example.org/a#b", "The data sheet, page 7"],
        detect={"properties": {"ro.product.device": "one"}, "device_tree": ["v,m"], "machine": "aarch64"},
        thermal={
            **THERMAL,
            "zones": ["cpu-thermal"],
            "wait_s": 60,
            "throttle_files": [COUNTER],
            "throttle_flags": [{"path": "/sys/devices/platform/soc/soc:firmware/get_throttled", "mask": 14}],
        },
        battery={"minimum_percent": 40, "charging": "forbidden"},
        frequency={"governor": "performance", "khz": {"little": 1_800_000, "big": 2_000_000}},
        power_sensor={"path": SENSOR, "unit": "uW"},
        warm_up_s=5,
        cooldown_s=2.5,
    )
    assert found.detect.properties == {"ro.product.device": ("one",)}
    assert found.detect.machine == ("aarch64",)
    assert found.thermal is not None
    assert found.thermal.throttle_flags[0].mask == 14
    assert found.frequency is not None
    assert found.frequency.khz == {"little": 1_800_000, "big": 2_000_000}
    assert found.clusters[0].max_khz == 1_800_000


def test_commands_are_lists_of_words() -> None:
    found = profile(frequency={"fix": [["jetson_clocks"], ["nvpmodel", "-m", "0"]], "restore": [["jetson_clocks", "--restore"]]})
    assert found.frequency is not None
    assert found.frequency.fix == (("jetson_clocks",), ("nvpmodel", "-m", "0"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("jetson_clocks --restore", "list of its words"),
        ({"run": "it"}, "list of its words"),
        (None, "list of its words"),
        ([], "at least 1"),
        (["sh", "-c", "echo 1 > /sys/x"], "hand a line to a shell"),
        (["sudo", "/bin/bash", "-ec", "reboot"], "hand a line to a shell"),
        (["jetson_clocks", "a\nb"], "plain text on one line"),
        (["jetson_clocks", "a\x00b"], "plain text on one line"),
        (["jetson_clocks", 7], "valid string"),
        (["", "x"], "begin with"),
        (["-rf", "x"], "begin with"),
        (["a b", "x"], "begin with"),
        (["$(reboot)"], "begin with"),
        (["a" * 300], "begin with"),
        (["x"] * 100, "at most 50"),
    ],
)
def test_a_command_that_is_no_list_of_plain_words_is_refused(command: object, said: str) -> None:
    assert said in refusal(frequency={"fix": [command], "restore": [["true"]]})
    assert said in refusal(frequency={"fix": [["true"]], "restore": [command]})


@pytest.mark.parametrize(
    ("frequency", "said"),
    [
        ({}, "say a governor"),
        ({"fix": [["true"]]}, "fix needs restore"),
        ({"restore": [["true"]]}, "fix needs restore"),
        ({"governor": "performance", "fix": [["true"]], "restore": [["true"]]}, "not both"),
        ({"khz": {"huge": 1_000_000}}, "none of the clusters little, big"),
        ({"khz": {"little": 1_900_000}}, "above the cluster's max_khz 1800000"),
        ({"khz": {"big": 1.5}}, "whole number"),
        ({"khz": {"big": 0}}, "greater than or equal"),
        ({"governor": "a b"}, "frequency.governor"),
        ({"governor": "../x"}, "frequency.governor"),
        ({"governor": "performance", "colour": "blue"}, "colour"),
    ],
)
def test_a_rule_for_clocks_that_does_not_hold_together_is_refused(frequency: dict[str, object], said: str) -> None:
    assert said in refusal(frequency=frequency)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("thermal", {"limit_c": 60, "resume_c": 60}, "must be below limit_c 60"),
        ("thermal", {"limit_c": 60}, "resume_c"),
        ("thermal", {"limit_c": float("nan"), "resume_c": 50}, "limit_c"),
        ("thermal", {"limit_c": float("inf"), "resume_c": 50}, "limit_c"),
        ("thermal", {"limit_c": "70", "resume_c": 50}, "a number is needed"),
        ("thermal", {"limit_c": 400, "resume_c": 50}, "limit_c"),
        ("thermal", {**THERMAL, "zones": []}, "zones"),
        ("thermal", {**THERMAL, "zones": "some"}, "zones"),
        ("thermal", {**THERMAL, "zones": ["a\nb"]}, "zones"),
        ("thermal", {**THERMAL, "wait_s": -1}, "wait_s"),
        ("thermal", {**THERMAL, "throttle_files": ["/etc/passwd"]}, "throttle_files"),
        ("thermal", {**THERMAL, "throttle_files": ["/sys/../etc/passwd"]}, "throttle_files"),
        ("thermal", {**THERMAL, "throttle_files": ["sys/x"]}, "throttle_files"),
        ("thermal", {**THERMAL, "throttle_files": ["/sys/a b"]}, "throttle_files"),
        ("thermal", {**THERMAL, "throttle_files": ["/sys/*"]}, "throttle_files"),
        ("thermal", {**THERMAL, "throttle_flags": [{"path": COUNTER, "mask": 0}]}, "mask"),
        ("thermal", {**THERMAL, "throttle_flags": [{"path": COUNTER, "mask": True}]}, "whole number"),
        ("thermal", {**THERMAL, "colour": "blue"}, "colour"),
        ("battery", {}, "minimum_percent"),
        ("battery", {"minimum_percent": 101}, "minimum_percent"),
        ("battery", {"minimum_percent": 50.0}, "whole number"),
        ("battery", {"minimum_percent": 50, "charging": True}, "charging"),
        ("power_sensor", {"path": SENSOR}, "unit"),
        ("power_sensor", {"path": SENSOR, "unit": "kW"}, "unit"),
        ("power_sensor", {"path": "/dev/power", "unit": "W"}, "path"),
        ("warm_up_s", -1, "warm_up_s"),
        ("warm_up_s", "5", "a number is needed"),
        ("cooldown_s", float("inf"), "cooldown_s"),
        ("cooldown_s", True, "a number is needed"),
        ("work_dir", "", "work_dir"),
        ("work_dir", "a b", "work_dir"),
        ("work_dir", "$HOME/x", "work_dir"),
        ("work_dir", "~/x", "work_dir"),
        ("work_dir", "a/../../b", "must not have"),
        ("work_dir", "-rf", "work_dir"),
        ("work_dir", "/a/-b", "work_dir"),
        ("work_dir", "/a//b", "work_dir"),
        ("work_dir", "a\n", "work_dir"),
        ("vendor", "a\nb", "vendor"),
        ("vendor", "", "vendor"),
        ("model", "x" * 300, "model"),
        ("soc", " padded ", "soc"),
        ("sources", ["http://example.org"], "https address"),
        ("sources", ["file:///etc/passwd"], "https address"),
        ("sources", [""], "sources"),
        ("sources", "https://example.org", "sources"),
        ("detect", {"properties": {"a b": "c"}}, "detect.properties"),
        ("detect", {"properties": {"a": []}}, "detect.properties"),
        ("detect", {"properties": {"a": [1]}}, "detect.properties"),
        ("detect", {"properties": {"a": "b\n"}}, "detect.properties"),
        ("detect", {"device_tree": [""]}, "detect.device_tree"),
        ("detect", {"usb": "1234"}, "usb"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(field: str, value: object, said: str) -> None:
    text = refusal(**{field: value})
    assert said in text
    assert field in text


def test_the_highest_clock_of_a_cluster_is_a_clock() -> None:
    for khz in (0, 999, 1.8, "1800000", True, 10**12):
        assert "max_khz" in refusal(clusters=[{"name": "big", "cpus": "all", "max_khz": khz}])


def test_a_phone_needs_a_folder_that_begins_with_a_slash() -> None:
    assert "/data/local/tmp/lutfarm" in refusal(transport="adb")
    assert profile(transport="adb", work_dir="/data/local/tmp/lutfarm").work_dir == "/data/local/tmp/lutfarm"
    assert profile(transport="ssh", work_dir="/srv/lutfarm").work_dir == "/srv/lutfarm"


@pytest.mark.parametrize("transport", ["local", "ssh"])
def test_elsewhere_a_folder_may_start_at_home(transport: str) -> None:
    assert profile(transport=transport, work_dir="a.b/c-d").work_dir == "a.b/c-d"
