"""What a check makes of figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.health.findings import MIB, Finding, HealthLimits, hello_findings, latency_finding
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.run import Environment

WELL = Environment(
    1.0,
    temperature_c=40.0,
    load_1min=0.1,
    memory_available_bytes=4096 * MIB,
    battery_percent=80.0,
    battery_charging=True,
    free_bytes=4096 * MIB,
)

LIMITS = HealthLimits()


def find(name: str, limits: HealthLimits = LIMITS, timer_pair_ns: int = 75, **changes: object) -> Finding:
    hello = replace(HELLO, timer_pair_ns=timer_pair_ns, environment=replace(WELL, **changes))
    return next(finding for finding in hello_findings(hello, limits) if finding.name == name)


def test_a_device_that_is_well_has_nothing_to_do() -> None:
    findings = list(hello_findings(replace(HELLO, environment=WELL), HealthLimits()))
    assert [f.name for f in findings] == [
        "clock resolution",
        "timer pair",
        "idle load",
        "temperature",
        "battery",
        "free space",
        "memory available",
    ]
    assert {(f.severity, f.what_to_do) for f in findings} == {("ok", "")}


def test_what_can_not_be_read_is_no_failure() -> None:
    for hello in (HELLO, replace(HELLO, environment=Environment(1.0))):
        assert {f.severity for f in hello_findings(hello, HealthLimits())} == {"ok"}


@pytest.mark.parametrize(
    ("name", "changes", "severity"),
    [
        ("idle load", {"load_1min": 1.0}, "ok"),  # on two cores
        ("idle load", {"load_1min": 1.01}, "warn"),
        ("idle load", {"load_1min": 900.0}, "warn"),  # the gate sees what disturbs
        ("temperature", {"temperature_c": 75.0}, "ok"),
        ("temperature", {"temperature_c": 75.1}, "warn"),
        ("temperature", {"temperature_c": 90.1}, "fail"),
        ("battery", {"battery_percent": 19.9}, "fail"),
        ("battery", {"battery_percent": 20.0}, "ok"),
        ("battery", {"battery_percent": 39.0, "battery_charging": False}, "warn"),
        ("battery", {"battery_percent": 39.0, "battery_charging": None}, "ok"),
        ("free space", {"free_bytes": 128 * MIB - 1}, "fail"),
        ("free space", {"free_bytes": 128 * MIB}, "warn"),
        ("memory available", {"memory_available_bytes": 0}, "fail"),
        ("memory available", {"memory_available_bytes": 100 * MIB}, "warn"),
        ("memory available", {"memory_available_bytes": 512 * MIB}, "ok"),
    ],
)
def test_limits(name: str, changes: dict[str, object], severity: str) -> None:
    found = find(name, **changes)
    assert found.severity == severity
    assert bool(found.what_to_do) == (severity != "ok")


@pytest.mark.parametrize(("pair_ns", "severity"), [(1_000, "ok"), (1_001, "warn"), (100_001, "fail")])
def test_a_coarse_clock_is_named(pair_ns: int, severity: str) -> None:
    assert find("timer pair", timer_pair_ns=pair_ns).severity == severity


@pytest.mark.parametrize(
    ("rule", "charging", "severity"),
    [
        ("any", False, "ok"),
        ("required", False, "fail"),
        ("required", True, "ok"),
        ("required", None, "ok"),
        ("forbidden", True, "fail"),
        ("forbidden", False, "ok"),
    ],
)
def test_the_rule_on_charging(rule: str, charging: bool | None, severity: str) -> None:
    limits = replace(HealthLimits(), charging=rule)  # type: ignore[arg-type]
    assert find("battery", limits, battery_charging=charging).severity == severity


@pytest.mark.parametrize(
    ("latency_ns", "severity", "said"),
    [
        (1000, "ok", "within 750 to 1250 ns"),
        (1250, "ok", "within"),
        (1251, "warn", "above"),
        (1500, "warn", "above"),
        (1501, "fail", "far above"),
        (749, "warn", "below"),
        (1, "warn", "below"),
    ],
)
def test_the_latency_band(latency_ns: int, severity: str, said: str) -> None:
    found = latency_finding("b", latency_ns, [1000, 1000, 1000])
    assert found.severity == severity
    assert said in found.why
    assert bool(found.what_to_do) == (severity != "ok")


def test_a_device_that_always_varied_has_a_wider_band() -> None:
    steady, varied = [1000, 1001, 999, 1000], [800, 1000, 1200, 1000, 900, 1100]
    assert latency_finding("b", 1600, steady).severity == "fail"
    assert latency_finding("b", 1600, varied).severity == "ok"


@given(st.integers(1, 10**12))
def test_without_a_history_the_band_is_open(latency_ns: int) -> None:
    found = latency_finding("b", latency_ns, [])
    assert (found.severity, found.value) == ("ok", latency_ns)
    assert "no history yet" in found.why


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=30))
def test_the_lower_median_of_what_it_was_is_never_a_failure(earlier_ns: list[int]) -> None:
    middle = sorted(earlier_ns)[(len(earlier_ns) - 1) // 2]
    assert latency_finding("b", middle, earlier_ns).severity != "fail"


def test_room_just_below_a_limit_does_not_read_as_the_limit() -> None:
    found = find("free space", free_bytes=1024 * MIB - 1)
    assert (found.value, found.severity, found.why[:20]) == (1023, "warn", "fewer than 1024 MiB:")
