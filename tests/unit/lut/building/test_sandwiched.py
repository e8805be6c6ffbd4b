"""Operators between stubs: the graphs, what a job asks for, and the entries that are derived."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.lut_kit import UNIT, entry, failed, manifest

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.building.sandwiched import positive, sandwiched
from lutfarm_jobs import operators, spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import expand
from lutfarm_jobs.operators.sandwich import pairs, sandwich, stubs
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spec import parse_job

MIDDLE = "mbconv_H16_W16_Cin24_Cout40_mid48_k3_s2_g1_x1_se0_res0_relu"
STEM = "conv_H32_W32_Cin3_Cout24_k3_s2_g1_relu"
LAST = "fc_H1_W1_Cin24_Cout10_none"


def test_both_stubs_are_thin_at_their_outer_ends() -> None:
    graph = sandwich(operators.parse(MIDDLE))
    assert graph.input_shape == (1, 16, 16, 16)
    assert graph.nodes[0].output.shape == (1, 24, 16, 16)
    assert graph.outputs[0].shape == (1, 16, 8, 8)
    assert pairs(operators.parse(MIDDLE)) == ("H16_W16_C24", "H8_W8_C40")
    pair = stubs("H8_W8_C40")
    assert [node.output.shape[1] for node in pair.nodes] == [40, 16]


def test_the_ends_of_a_network_have_no_stub_there() -> None:
    assert sandwich(operators.parse(STEM)).input_shape == (1, 3, 32, 32)
    assert pairs(operators.parse(STEM)) == ("H16_W16_C24",)
    assert sandwich(operators.parse(LAST)).nodes[-1].kind == "fully_connected"
    assert pairs(operators.parse(LAST)) == ("H1_W1_C24",)


@pytest.mark.parametrize("name", ["H8_W8", "H0_W8_C3", "H8_W8_C40 ", "H8_W8_C99999999"])
def test_no_pair_of_stubs(name: str) -> None:
    with pytest.raises(SpecError, match="names no pair of stubs"):
        stubs(name)


def job(**changes: object) -> dict[str, object]:
    return {
        "name": "j",
        "workloads": [{"space": "fbnet-32", "composition": "sandwiched"}],
        "devices": [UNIT],
        "backends": [{"runtime": "onnxruntime"}],
    } | changes


def test_a_job_asks_for_each_sandwich_and_each_pair_once() -> None:
    space = spaces.load("fbnet-32")
    plan = expand(parse_job(job(), source="test"), Sources({"fbnet-32": space}, {}), [UNIT])
    real = [operator for operator in space.operators() if not operator.is_nothing]
    kinds = [m.workload.kind for m in plan]
    assert kinds.count("sandwich") == len(real)
    needed = {name for operator in real for name in pairs(operator)}
    assert {m.workload.name for m in plan if m.workload.kind == "stubs"} == needed
    assert len(plan) == len(real) + len(needed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workloads": [{"space": "fbnet-32", "composition": "sandwiched"}, {"operators": [STEM]}]}, "in one way"),
        ({"workloads": [{"space": "fbnet-32", "composition": "sandwiched"}, {"space": "fbnet-32"}]}, "in one way"),
        (
            {
                "workloads": [{"space": "fbnet-32", "composition": "in_network"}],
                "backends": [{"runtime": "tflite_benchmark_model"}],
            },
            "tflite_benchmark_model tells no operators",
        ),
        ({"devices": [{"profile": "p", "replicate": "share"}]}, "replicate: all, not share"),
    ],
)
def test_what_cant_be_one_table_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_job(job(**changes), source="test")


def of(kind: str, name: str, ns: float, half: float = 0.01) -> Entry:
    one = entry(name, ns, half=half)
    return replace(one, key=one.key.replace("operator:", f"{kind}:"), workload=f"{kind}:{name}")


def derived(*entries: Entry, name: str = MIDDLE, target: float = 0.02) -> Entry:
    table = sandwiched(LatencyTable.of(entries, manifest()), target)
    assert table.manifest.composition == "sandwiched"
    (found,) = [one for one in table.entries if one.workload == f"operator:{name}"]
    assert found.key == entry(name).key
    return found


def test_an_operator_is_what_it_adds_to_half_of_each_pair() -> None:
    found = derived(of("sandwich", MIDDLE, 1000.0), of("stubs", "H16_W16_C24", 200.0), of("stubs", "H8_W8_C40", 100.0))
    assert found.estimate == pytest.approx(850.0)
    assert (found.high or 0) - 850.0 == pytest.approx(math.sqrt(10.0**2 + 1.0**2 + 0.5**2))
    assert (found.statistic, found.flags, found.mean) == ("sandwiched", ("converged",), None)


def test_a_small_difference_is_not_precise_and_never_below_zero() -> None:
    found = derived(of("sandwich", MIDDLE, 1000.0), of("stubs", "H16_W16_C24", 1000.0), of("stubs", "H8_W8_C40", 990.0))
    assert found.low == 0.0
    assert 0 < (found.estimate or 0) < (found.high or 0)
    assert {"not_precise", "indistinct"} <= set(found.flags)


@pytest.mark.parametrize("half", [0.06, 0.3, 0.99])
def test_a_difference_that_leaves_open_too_much_is_no_number(half: float) -> None:
    """One process that was held up makes the interval of a part wide: its mean above zero would be wrong by factors."""
    found = derived(of("sandwich", MIDDLE, 1000.0, half), of("stubs", "H16_W16_C24", 980.0), of("stubs", "H8_W8_C40", 980.0))
    assert (found.kind, found.failure_code) == ("failed", "Unstable")
    assert "can't be told from nothing" in (found.failure_detail or "")


@pytest.mark.parametrize("flag", ["no_quiet_window", "rounds_disagree"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_part_that_a_busy_machine_measured_makes_the_operator_a_failure_that_says_so(flag: str, place: int) -> None:
    parts = [of("sandwich", MIDDLE, 1000.0), of("stubs", "H16_W16_C24", 200.0), of("stubs", "H8_W8_C40", 100.0)]
    parts[place] = replace(parts[place], flags=(flag, "not_precise"), low=1.0, high=5e6)
    found = derived(*parts)
    assert (found.kind, found.failure_code, found.estimate) == ("failed", "Unstable", None)
    assert f"{parts[place].workload} was measured on a busy machine ({flag})" in (found.failure_detail or "")


def test_a_part_that_was_contended_but_had_quiet_windows_flags_the_operator() -> None:
    contended = replace(of("stubs", "H16_W16_C24", 200.0), flags=("contended", "not_precise"))
    found = derived(of("sandwich", MIDDLE, 1000.0), contended, of("stubs", "H8_W8_C40", 100.0))
    assert (found.kind, found.flags) == ("measured", ("contended", "converged"))


def test_an_activation_that_a_busy_machine_measured_keeps_its_number_and_its_interval() -> None:
    one = replace(entry("act_H32_W32_C16_relu", 5000.0), flags=("no_quiet_window",), low=3500.0, high=5e6)
    (found,) = sandwiched(LatencyTable.of([one], manifest()), 0.02, call_ns={(UNIT, one.backend): 3000.0}).entries
    assert (found.estimate, found.low, found.high) == (2000.0, 500.0, 4_997_000.0)
    (none,) = sandwiched(LatencyTable.of([one], manifest()), 0.02, call_ns={(UNIT, one.backend): 6000.0}).entries
    assert (none.kind, none.failure_code) == ("failed", "Unstable")


def test_what_adds_nothing_with_no_interval_is_no_latency_of_zero() -> None:
    stubs_ = [of("stubs", name, 1000.0, half=0.0) for name in ("H16_W16_C24", "H8_W8_C40")]
    found = derived(of("sandwich", MIDDLE, 1000.0, half=0.0), *stubs_)
    assert (found.kind, found.failure_code, found.estimate) == ("failed", "Unstable", None)


def test_what_adds_nothing_at_all_is_a_failure_and_no_number() -> None:
    found = derived(of("sandwich", MIDDLE, 900.0), of("stubs", "H16_W16_C24", 1000.0), of("stubs", "H8_W8_C40", 990.0))
    assert (found.kind, found.failure_code, found.estimate) == ("failed", "Unstable", None)


def test_a_failed_stub_fails_the_operator_and_a_missing_one_gives_none() -> None:
    lost = failed("H8_W8_C40")
    lost = replace(lost, key=lost.key.replace("operator:", "stubs:"), workload="stubs:H8_W8_C40")
    found = derived(of("sandwich", MIDDLE, 1000.0), of("stubs", "H16_W16_C24", 200.0), lost)
    assert (found.failure_code, found.failure_detail) == ("OutOfMemory", "stubs:H8_W8_C40: asked for 40 GB")
    table = sandwiched(LatencyTable.of([of("sandwich", MIDDLE, 1000.0)], manifest()), 0.02)
    assert [one.workload for one in table.entries] == [f"sandwich:{MIDDLE}"]


def test_an_activation_is_measured_alone_and_the_call_is_taken_off() -> None:
    """Between stubs the first of them would do it along."""
    space = spaces.load("nas-bench-201-cifar10")
    workloads = [{"space": space.name, "composition": "sandwiched"}]
    plan = expand(parse_job(job(workloads=workloads), source="test"), Sources({space.name: space}, {}), [UNIT])
    alone = {m.workload.name for m in plan if m.workload.kind == "operator"}
    assert alone == {o.key for o in space.under("onnxruntime").extras() if o.kind == "act"}
    one = entry("act_H32_W32_C16_relu", 5000.0)
    (found,) = sandwiched(LatencyTable.of([one], manifest()), 0.02, call_ns={(UNIT, one.backend): 3000.0}).entries
    assert (found.estimate, found.low, found.high, found.statistic) == (2000.0, 1900.0, 2100.0, "sandwiched")
    assert found.flags == ("not_precise",)  # +-100 ns were +-2 % of 5 us, and are +-5 % of 2 us
    (still,) = sandwiched(LatencyTable.of([one], manifest()), 0.02, call_ns={(UNIT, one.backend): 0.0}).entries
    assert still.flags == ("converged",)
    (least,) = sandwiched(LatencyTable.of([one], manifest()), 0.02, call_ns={(UNIT, one.backend): 9000.0}).entries
    assert least.low == 0.0
    assert 0 < (least.estimate or 0) <= (least.high or 0) < 200.0


def test_cut_off_at_zero() -> None:
    assert positive(100.0, 1.0) == (100.0, 99.0, 101.0)
    assert positive(0.0, 1.96)[0] == pytest.approx(math.sqrt(2 / math.pi))
    estimate, low, high = positive(-1.0, 1.96)
    assert low == 0.0
    assert 0 < estimate <= high
