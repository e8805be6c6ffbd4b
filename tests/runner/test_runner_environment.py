"""What the runner reads of /sys and of its folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lutfarm_runner.machine.environment import LARGEST_BYTES, battery, busy, environment, free_bytes, virtual


def supply(root: Path, name: str, **files: str) -> None:
    (root / name).mkdir(parents=True)
    for file, text in files.items():
        (root / name / file).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("status", "charging"),
    [("Charging", True), ("Full", True), ("Discharging", False), ("Not charging", False), ("Unknown", None), ("", None)],
)
def test_a_battery_is_read(tmp_path: Path, status: str, charging: bool | None) -> None:
    supply(tmp_path, "AC", type="Mains", online="1")
    supply(tmp_path, "BAT0", type="Battery", capacity="81", status=status)
    assert battery(str(tmp_path)) == (81, charging)


def test_the_emptiest_counts_and_a_mouse_does_not(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", type="Battery", capacity="81", status="Full")
    supply(tmp_path, "BAT1", type="Battery", capacity="30", status="Discharging")
    supply(tmp_path, "hidpp", type="Battery", scope="Device", capacity="5", status="Discharging")
    assert battery(str(tmp_path)) == (30, False)


@pytest.mark.parametrize("capacity", ["-1", "101", "many", "", "nan"])
def test_a_battery_that_says_nonsense_is_none(tmp_path: Path, capacity: str) -> None:
    supply(tmp_path, "BAT0", type="Battery", capacity=capacity, status="Full")
    assert battery(str(tmp_path)) == (None, None)
    assert battery(str(tmp_path / "missing")) == (None, None)


def test_free_space_is_a_size_or_unknown(tmp_path: Path) -> None:
    free = free_bytes(str(tmp_path))
    assert free is not None
    assert 0 <= free <= LARGEST_BYTES
    assert free_bytes(str(tmp_path / "missing")) is None
    assert environment(0)["free_bytes"] is not None


STAT = """cpu  100 20 30 9000 400 5 6 7 50 10
cpu0 50 10 15 4500 200 3 3 4 25 5
cpu1 50 10 15 4500 200 2 3 3 25 5
intr 12345 1 2
ctxt 999
"""


def test_the_time_that_all_cores_were_busy_holds_what_was_stolen_and_no_guest_twice(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    assert busy(str(stat)) == (168 / os.sysconf("SC_CLK_TCK"), 2)


@pytest.mark.parametrize(
    "text", ["", "cpu  1 2\ncpu0 1 2\n", "cpu  a b c d e f g h\ncpu0 1\n", STAT.replace("cpu0", "x").replace("cpu1", "y")]
)
def test_a_stat_file_that_says_nothing_of_use_is_none(tmp_path: Path, text: str) -> None:
    stat = tmp_path / "stat"
    stat.write_text(text)
    assert busy(str(stat)) == (None, None)
    assert busy(str(tmp_path / "missing")) == (None, None)


def test_what_this_process_uses_is_part_of_what_is_busy() -> None:
    before = environment(0)
    while time.process_time() - before["own_s"] < 0.1:
        pass
    after = environment(0)
    assert after["own_s"] - before["own_s"] >= 0.1
    assert after["busy_s"] - before["busy_s"] >= 0.05  # ticks of 10 ms, which count what they meet


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"proc/cpuinfo": "flags\t\t: fpu vme hypervisor lahf_lm"}, True),
        ({"proc/cpuinfo": "flags\t\t: fpu vme lahf_lm"}, False),
        ({"proc/cpuinfo": "Features\t: fp asimd", "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0"}, False),
        ({"proc/cpuinfo": "Features\t: fp asimd", "proc/device-tree/compatible": "linux,dummy-virt\0"}, True),
        ({"proc/device-tree/compatible": "brcm,bcm2711\0", "proc/device-tree/hypervisor/compatible": "xen,xen\0"}, True),
        ({"sys/hypervisor/type": "xen"}, True),
        ({"proc/cpuinfo": "Features\t: fp asimd", "sys/class/dmi/id/sys_vendor": "Amazon EC2"}, None),  # a guest or bare metal
        ({"proc/cpuinfo": "Features\t: fp asimd"}, None),  # a phone that shows no device tree
        ({}, None),
    ],
)
def test_a_guest_is_told_where_it_shows(tmp_path: Path, files: dict[str, str], found: bool | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert virtual(f"{tmp_path}/") is found
