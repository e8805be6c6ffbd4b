"""From runs to entries."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.lut_kit import ORT, TFLITE, UNIT, manifest, measurement, piece, run

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.building.build_table import build_table
from lutfarm.lut.building.measured_entries import fingerprint_hash
from lutfarm.statistics import Target
from lutfarm_jobs.run import Failure, Probe, Run

A, B = measurement("conv_a"), measurement("conv_b")


def runs_of(key: str, *estimates_ns: int, **changes: object) -> list[Run]:
    return [
        run(*[piece(level)] * 12, key=key, number=n, **changes)  # type: ignore[arg-type]
        for n, level in enumerate(estimates_ns)
    ]


def only(table: LatencyTable) -> Entry:
    (found,) = table.entries
    return found


def probe(key: str, failure: Failure | None = None, **changes: object) -> Probe:
    return Probe(key, UNIT, {"os": "Linux 6.1"}, 5.0, failure, **changes)  # type: ignore[arg-type]


def test_a_measured_entry_holds_what_the_design_lists() -> None:
    runs = [
        run(
            *[piece(100, 110, 120, 130)] * 10,
            piece(200, 210, quiet=False),
            number=n,
            rejected=2,
            load_ns=5000 + n,
            first_inference_ns=900,
            peak_memory_bytes=1000 + n,
            temperatures_c=(40.0, 45.0 + n),
            frequencies_khz=(2_000_000, 2_100_000),
        )
        for n in range(4)
    ]
    found = only(build_table([A], runs, manifest=manifest()))
    assert (found.key, found.workload, found.device, found.backend) == (A.key, "operator:conv_a", UNIT, ORT.key)
    assert (found.kind, found.quantity, found.quantity_unit) == ("measured", "latency", "ns")
    assert found.conditions == "b1-steady"
    assert (found.statistic, found.confidence, found.scope) == ("p25_quiet", 0.95, "sitting")
    assert (found.rounds, found.iterations, found.slices_kept, found.slices_rejected) == (4, 160, 40, 8)
    assert found.estimate == pytest.approx(104 + 1 / 6)
    assert found.low is not None
    assert found.low < 104 + 1 / 6 < (found.high or 0)
    assert (found.mean, found.median, found.min, found.p25) == (115, 115, 100, 107.5)
    assert found.variation == pytest.approx(math.sqrt(125) / 115)
    assert found.between_spread == pytest.approx(0.0, abs=1e-12)
    assert found.within_spread == pytest.approx(math.sqrt(125) / 115)
    assert found.effective_iterations is not None
    assert found.contended_median == 205
    assert found.iteration_spread == pytest.approx(0.1128, rel=0.01)  # of the logarithms of 100, 110, 120, 130
    assert (found.slice_spread, found.round_spread, found.sitting_spread) == (0.0, 0.0, None)
    assert (found.p90_low, found.p90_high) == pytest.approx((130, 130), rel=0.005)  # times the estimate's interval
    assert found.p99_low is None  # 160 iterations are too few
    assert (found.canary_level, found.involuntary_switches, found.wall_over_cpu) == (1.0, 0, 1.0)
    assert (found.temperature_low_c, found.temperature_high_c) == (40.0, 48.0)
    assert (found.frequency_low_khz, found.frequency_high_khz) == (2_000_000, 2_100_000)
    assert (found.load_ns, found.first_inference_ns, found.peak_memory_bytes) == (5001.5, 900.0, 1003)
    assert found.flags == ("converged",)
    assert found.fingerprint == fingerprint_hash({"os": "Linux 6.1"})
    assert found.run_ids == tuple(f"{n:032x}" for n in range(4))
    assert (found.failure_code, found.failure_detail) == (None, None)


def test_the_probe_knows_the_memory_of_one_workload_alone() -> None:
    probes = {A.key: [probe(A.key, load_ns=7, first_inference_ns=8, peak_memory_bytes=9)]}
    runs = runs_of(A.key, 100, peak_memory_bytes=5000)
    found = only(build_table([A], runs, manifest=manifest(), probes=probes))
    assert (found.load_ns, found.first_inference_ns, found.peak_memory_bytes) == (7.0, 8.0, 9)


def test_the_jobs_target_decides() -> None:
    runs = runs_of(A.key, 1000, 1010, 990)
    found = [
        only(build_table([A], runs, manifest=manifest(), target=Target(width, confidence)))
        for width, confidence in ((0.03, 0.95), (0.005, 0.95), (0.03, 0.9999))
    ]
    assert [entry.flags for entry in found] == [("converged",), ("not_precise",), ("not_precise",)]
    assert [entry.confidence for entry in found] == [0.95, 0.95, 0.9999]


OOM, CRASH = Failure("OutOfMemory", "asked for 40 GB"), Failure("WorkloadFailed", "signal 11")


@pytest.mark.parametrize(
    ("runs", "probes", "code"),
    [
        ([], [probe(A.key, OOM)], "OutOfMemory"),
        ([run(failure=CRASH)], [], "WorkloadFailed"),
        ([run(failure=CRASH)], [probe(A.key)], "WorkloadFailed"),
        # the newest result counts
        ([run(piece(100), number=0), run(failure=CRASH, number=1)], [], "WorkloadFailed"),
        ([run(failure=CRASH, number=0), run(piece(100), number=1)], [probe(A.key)], None),
        ([run(status="truncated", number=1), run(failure=CRASH, number=0)], [], "WorkloadFailed"),
        # a probe that failed before is over once there are runs, or a newer probe
        ([run(piece(100))], [probe(A.key, OOM)], None),
    ],
)
def test_failures_are_results_without_a_number(runs: list[Run], probes: list[Probe], code: str | None) -> None:
    found = only(build_table([A], runs, manifest=manifest(), probes={A.key: probes}))
    assert found.failure_code == code
    assert found.kind == ("failed" if code else "measured")
    assert (found.estimate is None) is (code is not None)


def test_what_has_neither_run_nor_failure_has_no_entry_and_is_named() -> None:
    table = build_table([A, B], runs_of(A.key, 100), manifest=manifest(), probes={B.key: [probe(B.key)]})
    assert [entry.key for entry in table.entries] == [A.key]
    assert table.manifest.missing == (B.key,)
    assert f"1 entries measured on desk with {B.backend.key}, 1 not measured yet on desk with" in table.describe()


def test_a_device_that_lacks_entries_is_named_and_no_other() -> None:
    px = replace(B, device="px")
    table = build_table([A, px], runs_of(A.key, 100), manifest=manifest(), probes={})
    assert f"1 not measured yet on px with {px.backend.key};" in table.describe()


def test_a_run_without_iterations_is_no_entry() -> None:
    table = build_table([A], [run(key=A.key, status="truncated")], manifest=manifest())
    assert len(table) == 0
    assert table.manifest.missing == (A.key,)


def test_runs_of_other_measurements_are_left_alone() -> None:
    table = build_table([A], runs_of(B.key, 100) + runs_of(A.key, 200), manifest=manifest())
    assert [entry.key for entry in table.entries] == [A.key]


def test_runs_that_do_not_follow_each_other_are_refused_not_half_used() -> None:
    mixed = [*runs_of(A.key, 100), *runs_of(B.key, 100), *runs_of(A.key, 300)]
    with pytest.raises(ValueError, match="do not follow each other"):
        build_table([A, B], mixed, manifest=manifest())


def test_entries_stand_in_the_plans_order() -> None:
    table = build_table([B, A], runs_of(A.key, 100) + runs_of(B.key, 200), manifest=manifest())
    assert [entry.key for entry in table.entries] == [B.key, A.key]


def test_nothing_by_structure_is_zero_in_every_place() -> None:
    plan = [measurement("conv_a", backend=backend) for backend in (ORT, TFLITE)]
    runs = [run for m in plan for run in runs_of(m.key, 100)]
    table = build_table(plan, runs, manifest=manifest(), zeros=["identity_H7"])
    zeros = [entry for entry in table.entries if entry.kind == "zero"]
    assert [(z.workload, z.backend) for z in zeros] == [("operator:identity_H7", b.key) for b in (ORT, TFLITE)]
    for zero in zeros:
        assert (zero.estimate, zero.low, zero.high, zero.rounds, zero.statistic) == (0.0, 0.0, 0.0, 0, "")


def test_the_spread_of_the_other_entries_moderates_an_entry_and_other_backends_do_not() -> None:
    """Entry a has two equal processes; its neighbours say how much that is worth."""

    def width(neighbour_spread: float, other_backend: bool) -> float:
        ours = measurement("conv_a")
        others = [measurement(f"conv_n{n}", backend=TFLITE if other_backend else ORT) for n in range(8)]
        levels = (1_000_000, round(1_000_000 * (1 + neighbour_spread)), round(1_000_000 * (1 - neighbour_spread)))
        runs = runs_of(ours.key, 500_000, 500_000) + [r for m in others for r in runs_of(m.key, *levels)]
        table = build_table([ours, *others], runs, manifest=manifest())
        return table.entries[0].relative_half_width or 0.0

    assert width(0.05, other_backend=False) > 3 * width(0.005, other_backend=False)
    assert width(0.05, other_backend=True) == width(0.005, other_backend=True)


def test_a_shift_that_processes_have_in_common_is_told() -> None:
    plan = [measurement(f"conv_{n}") for n in range(10)]
    together = [r for n, m in enumerate(plan) for r in runs_of(m.key, *(x * (n + 1) for x in (1000, 1050, 960, 1010)))]
    table = build_table(plan, together, manifest=manifest())
    assert [entry.common_share for entry in table.entries] == pytest.approx([1.0] * 10, abs=0.01)


def test_building_is_pure() -> None:
    runs = runs_of(A.key, 1000, 1010)
    assert build_table([A], runs, manifest=manifest()) == build_table([A], runs, manifest=manifest())
