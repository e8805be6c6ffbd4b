"""A pool's entries in a table: which there are, what they rest on, what is refused; and that files keep them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.lut_kit import ORT, TFLITE, TinySpace, failed, manifest, measurement
from tests.lut_kit import entry as plain_entry

from lutfarm.lut import Entry, LatencyTable, Pooling, TableDevice, load, pooled, save, without_moved
from lutfarm.statistics import Target
from lutfarm_jobs.errors import DevicesDiffer

UNITS = ("u1", "u2", "u3")
EFFECTS = {"u1": 0.03, "u2": -0.03, "u3": 0.0}
ANCHORS = {f"a{n}": 1e5 * 2**n for n in range(6)}
ALONE = {f"x{n}": 3e5 * (n + 1) for n in range(6)}
ALL, SHARE = Pooling("pi"), Pooling("pi", "share", 0.10)
POOL = "pool:pi"


def entry(name: str, device: str, estimate_ns: float, **changes: object) -> Entry:
    return replace(plain_entry(name, estimate_ns, device=device, half=0.01), **changes)  # type: ignore[arg-type]


def table(entries: Sequence[Entry], *, devices: Sequence[str] = UNITS, missing: Sequence[str] = ()) -> LatencyTable:
    facts = (*(TableDevice(device, "pi") for device in devices), TableDevice("desk", "generic"))
    return LatencyTable.of(entries, manifest(devices=facts, missing=tuple(missing)))


def shared(effects: Mapping[str, float] = EFFECTS, *, noise: float = 0.0, half: float = 0.01, seed: int = 0) -> list[Entry]:
    random = np.random.default_rng(seed)
    devices = list(effects)

    def one(name: str, device: str, base_ns: float) -> Entry:
        found_ns = base_ns * math.exp(effects[device] + noise * random.standard_normal())
        return entry(name, device, found_ns, low=found_ns * (1 - half), high=found_ns * (1 + half))

    found = [one(name, device, base_ns) for name, base_ns in ANCHORS.items() for device in devices]
    return found + [one(name, devices[n % len(devices)], base_ns) for n, (name, base_ns) in enumerate(ALONE.items())]


def of_pool(found: LatencyTable) -> dict[str, Entry]:
    return {e.workload.partition(":")[2]: e for e in found.entries if e.device == POOL}


def test_entries_of_devices_that_replicate_get_one_of_the_pool_and_stay() -> None:
    before = table(
        [*(entry("A", device, ns) for device, ns in zip(UNITS, (100.0, 110.0, 121.0), strict=True)), entry("A", "desk", 7.0)]
    )
    found = pooled(before, ALL)
    assert found.entries[:4] == before.entries
    (one,) = of_pool(found).values()
    assert one.key == measurement("A").key.replace("/desk/", f"/{POOL}/")
    assert (one.scope, one.statistic, one.rounds) == ("devices", "p25_quiet", 15)
    assert one.estimate == pytest.approx(110.0)
    assert one.between_spread == pytest.approx(math.log(1.1))
    assert one.common_share == 1.0
    assert "not_precise" in one.flags
    assert "converged" not in one.flags
    assert found.manifest.pools[0].devices == UNITS
    assert found.manifest.pools[0].effects == ()


def test_what_an_entry_of_the_pool_rests_on_is_what_its_devices_rest_on_together() -> None:
    counts = {"slices_kept": 40, "slices_rejected": 8, "runs_left_out": 1, "iterations": 160, "involuntary_switches": 3}
    mine = of_pool(pooled(table([entry("A", device, 100.0, **counts) for device in UNITS]), ALL))["A"]
    assert {name: getattr(mine, name) for name in counts} == {name: 3 * count for name, count in counts.items()}


def test_the_mean_device_of_devices_that_share_is_found_and_corrected() -> None:
    found = pooled(table(shared()), SHARE)
    mine = of_pool(found)
    assert {name: e.estimate for name, e in mine.items()} == {
        name: pytest.approx(ns) for name, ns in {**ANCHORS, **ALONE}.items()
    }
    factors = {effect.device: effect.factor for effect in found.manifest.pools[0].effects}
    assert factors == {device: pytest.approx(math.exp(effect)) for device, effect in EFFECTS.items()}
    assert all(e.between_spread == pytest.approx(0.03) for e in mine.values())
    lone = next(e for e in found.entries if e.workload.endswith("x0") and e.device != POOL)
    assert mine["x0"].relative_half_width > lone.relative_half_width  # type: ignore[operator]


def test_intervals_of_shared_entries_cover_the_truth_as_often_as_they_say() -> None:
    """300 pools; the anchors' own intervals are what 5 processes with 1 % of spread would give."""
    inside = dict.fromkeys(("a0", "a5", "x0", "x4"), 0)
    half = math.expm1(2.364624 * 0.01)  # Student's t of 7 degrees of freedom
    for seed in range(300):
        mine = of_pool(pooled(table(shared(noise=0.01, half=half, seed=seed)), SHARE))
        for name in inside:
            truth_ns = {**ANCHORS, **ALONE}[name]
            inside[name] += mine[name].low <= truth_ns <= mine[name].high  # type: ignore[operator]
    assert all(count >= 0.91 * 300 for count in inside.values()), inside


def test_devices_that_differ_too_much_are_refused_by_name_and_may_be_allowed() -> None:
    entries = shared({"slow": 0.1, "fast": -0.1})
    with pytest.raises(DevicesDiffer) as refused:
        pooled(table(entries, devices=("slow", "fast")), SHARE)
    assert "22.1 %" in refused.value.detail
    assert "fast x0.905, slow x1.105" in refused.value.detail
    assert "max_device_spread is 10 %" in refused.value.detail
    assert of_pool(pooled(table(entries, devices=("slow", "fast")), Pooling("pi", "share", 0.25)))


def test_one_anchor_that_devices_disagree_on_is_enough_to_refuse() -> None:
    entries = shared()
    odd = [e if e.workload != "operator:a3" or e.device != "u2" else entry("a3", "u2", 1.5 * (e.estimate or 0)) for e in entries]
    with pytest.raises(DevicesDiffer, match=r"u2 and u\d differ by .* in operator:a3"):
        pooled(table(odd), SHARE)


def test_too_few_anchors_are_said_with_what_each_device_has() -> None:
    entries = [e for e in shared() if e.workload not in {f"operator:a{n}" for n in range(4)}]
    with pytest.raises(DevicesDiffer, match=r"at least two devices need 3 anchors .*; u1 has 2, u2 has 2, u3 has 2"):
        pooled(table(entries), SHARE)


@pytest.mark.parametrize(("devices", "said"), [((), "it has none"), (("u1",), "it has only u1")])
def test_a_pool_of_one_is_none(devices: Sequence[str], said: str) -> None:
    with pytest.raises(DevicesDiffer, match=said):
        pooled(table([entry("A", "u1", 1.0)], devices=devices), SHARE)


def test_what_a_device_without_anchors_measured_alone_is_missing_not_guessed() -> None:
    entries = [e for e in shared() if e.device != "u2" or not e.workload.startswith("operator:a")]
    found = pooled(table(entries), SHARE)
    assert {"x1", "x4"}.isdisjoint(of_pool(found))
    assert {key.split("/")[1] for key in found.manifest.missing} == {"operator:x1", "operator:x4"}
    assert all(f"/{POOL}/" in key for key in found.manifest.missing)


def test_statistics_are_never_mixed() -> None:
    entries = [
        entry("A", "u1", 100.0),
        entry("A", "u2", 101.0),
        entry("A", "u3", 150.0, statistic="p25_contended"),
        entry("B", "u1", 100.0),
        entry("B", "u2", 150.0, statistic="p25_contended"),
    ]
    found = pooled(table(entries), ALL)
    mine = of_pool(found)
    assert mine.keys() == {"A"}
    assert mine["A"].statistic == "p25_quiet"
    assert mine["A"].estimate == pytest.approx(math.sqrt(100 * 101))
    assert "devices_left_out" in mine["A"].flags
    assert [key.split("/")[1] for key in found.manifest.missing] == ["operator:B"]


def test_of_two_statistics_that_as_many_devices_have_the_pool_takes_the_one_of_the_uncontended_device() -> None:
    entries = [
        entry("A", f"u{n}", ns, statistic=statistic)
        for n, (ns, statistic) in enumerate(
            ((150.0, "p25_contended"), (152.0, "p25_contended"), (100.0, "p25_quiet"), (101.0, "p25_quiet"))
        )
    ]
    (one,) = of_pool(pooled(table(entries, devices=[f"u{n}" for n in range(4)]), ALL)).values()
    assert (one.statistic, one.estimate) == ("p25_quiet", pytest.approx(math.sqrt(100 * 101)))
    assert "devices_left_out" in one.flags


def test_a_device_that_should_have_replicated_and_has_no_entry_is_left_out_and_one_that_shares_is_not() -> None:
    entries = [*(entry("A", device, 100.0) for device in UNITS), *(entry("B", device, 100.0) for device in UNITS[:2])]
    mine = of_pool(pooled(table(entries), ALL))
    assert {name: "devices_left_out" in one.flags for name, one in mine.items()} == {"A": False, "B": True}
    assert not any("devices_left_out" in one.flags for one in of_pool(pooled(table(shared()), SHARE)).values())


def test_flags_of_devices_are_kept() -> None:
    flags = ("throttled", "not_precise")
    entries = [entry("A", "u1", 100.0, flags=flags), entry("A", "u2", 100.0), entry("A", "u3", 100.0)]
    (one,) = of_pool(pooled(table(entries), ALL, Target(0.05))).values()
    assert one.flags == ("converged", "throttled")


def test_failures_and_zeros_of_all_devices_are_the_pools_too() -> None:
    def on(one: Entry, device: str) -> Entry:
        return replace(one, device=device, key=one.key.replace("/desk/", f"/{device}/"))

    zero = replace(plain_entry("Z", 1.0), kind="zero", estimate=0.0, low=0.0, high=0.0, statistic="")
    entries = [on(each, device) for device in UNITS for each in (failed("F"), zero)] + [on(failed("A"), "u1")]
    entries += [entry("A", device, 100.0) for device in UNITS[1:]]
    mine = of_pool(pooled(table(entries), ALL))
    assert (mine["F"].kind, mine["F"].failure_code) == ("failed", "OutOfMemory")
    assert mine["F"].failure_detail == "on u1, u2, u3: asked for 40 GB"
    assert (mine["Z"].kind, mine["Z"].estimate) == ("zero", 0.0)
    assert mine["A"].kind == "measured"
    assert "devices_left_out" in mine["A"].flags


def test_backends_have_effects_of_their_own() -> None:
    entries = shared()
    tflite = [
        replace(
            plain_entry(
                e.workload.partition(":")[2],
                (e.estimate or 0) * (1.02 if e.device == "u3" else 1.0),
                device=e.device,
                backend=TFLITE,
            )
        )
        for e in entries
    ]
    found = pooled(table([*entries, *tflite]), SHARE)
    of_u3 = {effect.backend: math.log(effect.factor) for effect in found.manifest.pools[0].effects if effect.device == "u3"}
    assert of_u3 == {ORT.key: pytest.approx(0, abs=1e-9), TFLITE.key: pytest.approx(math.log(1.02) * 2 / 3)}


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_files_keep_a_pool(tmp_path: Path, suffix: str) -> None:
    found = pooled(table(shared()), SHARE)
    save(found, tmp_path / f"t{suffix}")
    assert load(tmp_path / f"t{suffix}") == found


def test_a_pool_is_predicted_from_like_a_device_and_keeps_its_devices_facts() -> None:
    entries = [
        entry(name, device, ns * math.exp(EFFECTS[device]))
        for name, ns in (("A", 100.0), ("B", 200.0), ("C", 300.0), ("D", 400.0))
        for device in UNITS
    ]
    mine = pooled(table(entries), ALL).select(device=POOL)
    assert {facts.device for facts in mine.manifest.devices} == set(UNITS)
    prediction = mine.predict(TinySpace(), (0, 0))
    assert prediction.estimate == pytest.approx(100 + 100 + 400)
    # Devices are slow at everything: the interval of a sum is as wide, relatively, as those of its parts.
    (one,) = (e for e in mine.entries if e.workload == "operator:A")
    relative = (prediction.high - prediction.low) / prediction.estimate
    assert relative == pytest.approx(2 * one.relative_half_width, rel=0.02)  # type: ignore[operator]
    assert pooled(table(entries), ALL).select(device="u1").manifest.pools == ()


def test_asking_twice_changes_nothing() -> None:
    once = pooled(table(shared()), SHARE)
    assert pooled(once, SHARE) == once


def test_gaps_that_another_device_of_the_pool_filled_are_none() -> None:
    gaps = [measurement(name, device=device).key for name, device in (("x0", "u2"), ("y", "u2"), ("x0", "desk"))]
    elsewhere = entry("y", "desk", 1e5)  # of no device of the pool: it fills nothing
    found = without_moved(table([*shared(), elsewhere], missing=gaps), set(UNITS))
    assert found.manifest.missing == tuple(gaps[1:])
