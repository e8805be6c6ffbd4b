"""What a check makes of figures.  Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lutfarm_agents.device import Hello
from lutfarm_jobs.run import Environment
from lutfarm_profiles import DeviceProfile
from lutfarm_profiles.cores import lacking, seen, switch_on, unseen, way_out
from lutfarm_runner.machine.clock import LEAST_STEPS

Severity = Literal["ok", "warn", "fail"]

MIB = 1024**2
MAD_TO_SIGMA = 1.4826  # of a normal distribution
BAND_SIGMAS = 5.0
FINE_NS = 20  # no operator is shorter than 100 of these: a bound call costs 2,000 ns
LEAST_BAND = 0.25  # of the median: what clocks and neighbours do to a healthy machine


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.  `value` is None where it could not be read; `what_to_do` is empty where all is well."""

    name: str
    value: float | int | str | None
    unit: str
    severity: Severity
    why: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """Beyond which figures a device is worth a word, or unfit.  A kind of device may have its own."""

    clock_warn_ns: int = 1_000  # resolution and timer pair: 1 us is 1 % of a short slice's iteration
    clock_fail_ns: int = 100_000
    load_per_core: float = 0.5  # 1 min average; never a failure: the gate sees what disturbs
    temperature_warn_c: float = 75.0
    temperature_fail_c: float = 90.0
    zones: tuple[str, ...] | None = None  # the types of thermal zones that decide; None: the processor's
    battery_percent: float = 20.0
    charging: Literal["any", "required", "forbidden"] = "any"
    free_warn_bytes: int = 1024 * MIB
    free_fail_bytes: int = 128 * MIB
    memory_warn_bytes: int = 512 * MIB
    memory_fail_bytes: int = 64 * MIB


def hello_findings(hello: Hello, limits: HealthLimits) -> Iterator[Finding]:
    """What the hello tells: clock, load, temperature, battery, free space, memory."""
    found = hello.environment or Environment(0.0)
    yield _step(hello.clock_resolution_ns, limits)
    yield _clock("timer pair", hello.timer_pair_ns, limits)
    yield _load(found.load_1min, max(1, len(hello.cpus)), limits)
    yield _temperature(found.temperature_c, limits, found.temperature_zone or "")
    yield _battery(found, limits)
    yield _room(
        "free space", found.free_bytes, limits.free_warn_bytes, limits.free_fail_bytes, "remove files near lutfarm's folder there"
    )
    yield _room(
        "memory available",
        found.memory_available_bytes,
        limits.memory_warn_bytes,
        limits.memory_fail_bytes,
        "end what else runs there",
    )


def link_findings(remarks: Sequence[str]) -> Iterator[Finding]:
    """What is unusual about the way to it: lutfarm gets round it, so it is no reason not to measure."""
    for remark in remarks:
        seen, _, remedy = remark.partition("; ")
        yield Finding("link", None, "", "warn", seen, remedy)


def core_finding(profile: DeviceProfile, there: Sequence[int], off: Sequence[int] = ()) -> Finding:
    """Whether the cores that the kind of device measures on are among those that the device has; `off`: are switched off."""
    if off and (not lacking(profile, there) or set(lacking(profile, there)) & set(off)):
        on_all = all(cluster.cpus == "all" for cluster in profile.clusters if cluster.name == profile.measured_cluster)
        if on_all or lacking(profile, there):
            severity: Severity = "warn" if profile.measured_cpus(there) else "fail"
            return Finding("cores", len(there), "", severity, unseen(off), switch_on(off))
    if not lacking(profile, there):
        return Finding("cores", len(there), "", "ok", "those that its profile measures on are there")
    severity = "warn" if profile.measured_cpus(there) else "fail"
    return Finding("cores", len(there), "", severity, seen(profile, there), way_out(profile))


def _step(value_ns: int | None, limits: HealthLimits) -> Finding:
    """Of the clock, measured there."""
    found = _clock("clock resolution", value_ns, limits)
    if value_ns is None or found.severity != "ok" or value_ns <= FINE_NS:
        return found
    return replace(found, why=f"iterations below {LEAST_STEPS * value_ns / 1000:g} us are timed several at a time")


def _clock(name: str, value_ns: int | None, limits: HealthLimits) -> Finding:
    if value_ns is None:
        return Finding(name, None, "ns", "ok", "not looked at: nothing of ours reads a clock there, the tool reads its own")
    if value_ns > limits.clock_warn_ns:
        severity: Severity = "fail" if value_ns > limits.clock_fail_ns else "warn"
        return Finding(
            name,
            value_ns,
            "ns",
            severity,
            f"above {limits.clock_warn_ns} ns: short operators drown in it, or get wide intervals",
            "choose a finer clocksource (/sys/devices/system/clocksource), or a kernel with high-resolution timers",
        )
    return Finding(name, value_ns, "ns", "ok", "fine enough")


def _load(load_1min: float | None, cores: int, limits: HealthLimits) -> Finding:
    if load_1min is None:
        return Finding("idle load", None, "", "ok", "it can't be read there; the gate sees what disturbs")
    if load_1min > limits.load_per_core * cores:
        return Finding(
            "idle load",
            load_1min,
            f"on {cores} cores",
            "warn",
            "something else is running, or just was",
            "end it, or wait a minute; the gate waits for quiet windows",
        )
    return Finding("idle load", load_1min, f"on {cores} cores", "ok", "idle")


def _temperature(value_c: float | None, limits: HealthLimits, zone: str = "") -> Finding:
    """`zone`: the type of the thermal zone that it is of."""
    if value_c is None:
        return Finding("temperature", None, "C", "ok", "no sensor that can be read: throttling can't be seen there")
    if limits.zones is not None and zone and zone not in limits.zones:
        return Finding("temperature", value_c, "C", "ok", f"of the zone {zone}, which its profile does not watch")
    of = f"zone {zone}: " if zone else ""
    leave_out = f"; if {zone or 'that zone'} is no thermometer of the processor, name others in its profile's thermal.zones"
    if value_c > limits.temperature_fail_c:
        return Finding(
            "temperature",
            value_c,
            "C",
            "fail",
            f"{of}{value_c:.1f} C is above {limits.temperature_fail_c:.1f} C",
            "let it cool; see its fan and airflow" + leave_out,
        )
    if value_c > limits.temperature_warn_c:
        return Finding(
            "temperature",
            value_c,
            "C",
            "warn",
            f"{of}above {limits.temperature_warn_c:.1f} C",
            "it may throttle soon" + leave_out,
        )
    return Finding("temperature", value_c, "C", "ok", f"{of}cool enough")


def _battery(found: Environment, limits: HealthLimits) -> Finding:
    percent, charging = found.battery_percent, found.battery_charging
    if percent is None:
        return Finding("battery", None, "%", "ok", "none that can be read")
    how = {True: "charging", False: "not charging", None: "charging or not is unknown"}[charging]
    if percent < limits.battery_percent:
        why = f"{percent:g} % is below {limits.battery_percent:g} %, {how}"
        return Finding("battery", percent, "%", "fail", why, "charge it")
    if limits.charging == "required" and charging is False:
        return Finding("battery", percent, "%", "fail", "it has to be on a charger to measure", "connect its charger")
    if limits.charging == "forbidden" and charging:
        return Finding("battery", percent, "%", "fail", "it must not charge while it measures", "take it off its charger")
    if percent < 2 * limits.battery_percent and charging is False:
        return Finding("battery", percent, "%", "warn", how, "connect its charger: a long job may outlast it")
    return Finding("battery", percent, "%", "ok", how)


def _room(name: str, value: int | None, warn: int, fail: int, what_to_do: str) -> Finding:
    if value is None:
        return Finding(name, None, "MiB", "ok", "it can't be read there")
    mib = value // MIB  # rounded down: 1023.9 MiB are fewer than 1024
    if value < fail:
        return Finding(name, mib, "MiB", "fail", f"{mib} MiB are fewer than {fail // MIB} MiB", what_to_do)
    if value < warn:
        return Finding(name, mib, "MiB", "warn", f"fewer than {warn // MIB} MiB: large models may not fit", what_to_do)
    return Finding(name, mib, "MiB", "ok", "enough")


def latency_finding(backend: str, latency_ns: int, earlier_ns: Sequence[int]) -> Finding:
    """The reference model's latency against what it was in earlier checks of this device.

    The band is the median plus and minus five robust standard deviations, at least a quarter of the median.  Slower
    than twice the band is a failure; anything else outside is worth a word.
    """
    name = f"latency {backend}"
    if not earlier_ns:
        return Finding(name, latency_ns, "ns", "ok", "no history yet: the band is open")
    middle = statistics.median(earlier_ns)
    spread = MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in earlier_ns)
    half = max(BAND_SIGMAS * spread, LEAST_BAND * middle)
    band = f"{max(0.0, middle - half):.0f} to {middle + half:.0f} ns by {len(earlier_ns)} earlier checks"
    if latency_ns > middle + 2 * half:
        return Finding(
            name,
            latency_ns,
            "ns",
            "fail",
            f"far above its band, {band}",
            "it throttles or something runs beside it; if it was changed on purpose, register it again",
        )
    if latency_ns > middle + half:
        return Finding(name, latency_ns, "ns", "warn", f"above its band, {band}", "see its temperature and what else runs there")
    if latency_ns < middle - half:
        return Finding(
            name, latency_ns, "ns", "warn", f"below its band, {band}", "it became faster: see its governor and what changed"
        )
    return Finding(name, latency_ns, "ns", "ok", f"within {band}")
