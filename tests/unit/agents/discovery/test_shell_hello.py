"""What a shell says of a device without Python; whatever it is, it is checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.discovery.shell_hello import built_for, cpus_off, parse
from lutfarm_runner.machine.environment import cpu_list

SAID = """machine aarch64
system Linux 5.10.0
load 0.52 0.40 0.30 1/300 4711
MemTotal:        3900000 kB
MemAvailable:    1000 kB
governor schedutil
frequency 1500000
zone 38500
zone 99999999
zone -274000
battery 80 Not charging
battery 20 Charging
free 2048
"""


def test_what_it_says_is_what_is_true() -> None:
    found = parse(SAID, 12.5)
    assert found.time_s == 12.5
    assert (found.governor, found.frequency_khz, found.temperature_c, found.load_1min) == ("schedutil", 1_500_000, 38.5, 0.52)
    assert (found.memory_available_bytes, found.free_bytes) == (1_024_000, 2_097_152)
    assert (found.battery_percent, found.battery_charging) == (20, True)


def test_what_it_does_not_say_is_nothing_and_no_zero() -> None:
    found = parse("", 0.0)
    said = (
        found.governor,
        found.frequency_khz,
        found.temperature_c,
        found.load_1min,
        found.memory_available_bytes,
        found.battery_percent,
        found.battery_charging,
        found.free_bytes,
    )
    assert said == (None,) * 8


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("0,2-3,2", (0, 2, 3)),
        ("7", (7,)),
        ("", ()),
        ("3-", ()),
        ("-1", ()),
        ("0-99999", ()),
        ("0-4096", ()),
        ("a", ()),
        ("5-2", ()),
    ],
)
def test_lists_of_cores(text: str, cpus: tuple[int, ...]) -> None:
    assert tuple(sorted(set(cpu_list(text)))) == cpus


@given(st.text(max_size=400) | st.text(alphabet="zone batterylodfr0123456789-.: \nC", max_size=400))
def test_nothing_that_it_says_breaks_the_host(text: str) -> None:
    found = parse(text, 0.0)
    assert found.temperature_c is None or -50 < found.temperature_c < 200
    assert found.battery_percent is None or 0 <= found.battery_percent <= 100


HARD = "7f454c460101010000000000000000000300280001000000" + "00" * 12 + "00040005" + "00" * 12
WIDE = "7f454c4602010100" + "00" * 44


@pytest.mark.parametrize(
    ("text", "machine", "bits", "abi"),
    [
        (f"bits 32\nelf {HARD}\nabi \n", "aarch64", 32, "aarch64 hard-float"),
        (f"bits \nelf {WIDE}\nabi arm64-v8a\n", "aarch64", 64, "arm64-v8a"),
        ("bits 32\nelf \nabi armeabi-v7a\n", "aarch64", 32, "armeabi-v7a"),
        ("bits 64\n", "x86_64", 64, "x86_64"),
        ("bits 65\nelf zz\n", "x86_64", 0, "x86_64"),
        ("abi arm64-v8a\n", "aarch64", 64, "arm64-v8a"),
    ],
)
def test_word_size_and_abi_of_what_runs_there(text: str, machine: str, bits: int, abi: str) -> None:
    assert built_for(text, machine) == (bits, abi)


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("present 0-7\nonline 0-3\n", (4, 5, 6, 7)),
        ("present 0-7\nonline 0-7\n", ()),
        ("smt off\npresent 0-7\nonline 0-3\n", ()),
        ("present 0-7\n", ()),
        ("present x\nonline 0\n", ()),
    ],
)
def test_cores_that_are_off(text: str, off: tuple[int, ...]) -> None:
    assert cpus_off(text) == off
