"""What the runner reads of /sys and of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lutfarm_runner.environment import LARGEST_BYTES, battery, environment, free_bytes


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
