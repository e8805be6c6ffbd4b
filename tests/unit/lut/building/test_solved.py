"""Operators from whole networks alone: the analytic line, the entries that are solved, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.lut_kit import TFLITE, entry, manifest

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.building.solved import solved
from lutfarm.lut.calibration.priors_from_counts import analytic, work
from lutfarm.lut.schema.calibration_record import Observed
from lutfarm_jobs import operators, spaces
from lutfarm_jobs.spaces.balanced import balanced

SPACE = spaces.load("fbnet-32")
REAL = {o.key: o for o in SPACE.operators() if not o.is_nothing}


def true_ns(seed: int, spread: float = 0.1) -> dict[str, float]:
    """A line through what operators compute, from which each differs by so much."""
    dice = np.random.default_rng(seed)
    return {
        key: (2000 + 0.05 * operator.multiply_accumulates + 0.1 * work(key)[2]) * float(np.exp(dice.normal(0, spread)))
        for key, operator in REAL.items()
    }


def table(costs: dict[str, float], count: int, seed: int = 1) -> LatencyTable:
    """As a job of networks alone has it."""
    dice = np.random.default_rng(seed)
    found = []
    for arch in balanced(SPACE, seed, count):
        whole = sum(costs[o.key] * n for o, n in SPACE.composition(arch).items() if not o.is_nothing)
        one = entry("x", whole * float(np.exp(dice.normal(0, 0.003))), half=0.006, backend=TFLITE, statistic="p10_swept")
        name = f"network:{SPACE.name}:{SPACE.format(arch)}"
        found.append(replace(one, key=one.key.replace("operator:x", name), workload=name))
    return LatencyTable.of(found, manifest())


def test_work_is_itself_what_it_multiplies_and_what_it_writes() -> None:
    key = "conv_H8_W8_Cin4_Cout6_k3_s1_g1_relu"
    assert work(key) == (1.0, operators.parse(key).multiply_accumulates, 4.0 * 6 * 8 * 8)


def test_the_line_is_found_again_and_no_part_of_it_is_negative() -> None:
    costs = true_ns(1, spread=0.0)
    networks = [
        Observed(
            arch,
            {o.key: n for o, n in SPACE.composition(arch).items() if not o.is_nothing},
            sum(costs[o.key] * n for o, n in SPACE.composition(arch).items() if not o.is_nothing),
        )
        for arch in SPACE.random(1, 12)
    ]
    found = analytic(REAL, networks)
    assert [found[key].estimate for key in REAL] == pytest.approx([costs[key] for key in REAL], rel=1e-6)
    falling = [replace(one, measured=1e6 / one.measured) for one in networks]
    assert all(one.estimate > 0 for one in analytic(REAL, falling).values())


def test_solved_operators_add_up_to_networks_that_were_not_among_them() -> None:
    """The intervals of operators hold the truth as often as they say, whatever their confidence."""
    inside, narrow, errors = [], [], []
    for seed in range(6):
        costs = true_ns(seed)
        measured = table(costs, 40, seed)
        found = solved(measured, [SPACE], {"tflite"}, 0.02)
        assert found.manifest.composition == "solved"
        mine = {e.workload.removeprefix("operator:"): e for e in found.entries if e.statistic == "solved"}
        inside += [(e.low or 0) <= costs[key] <= (e.high or 0) for key, e in mine.items()]
        assert {(e.scope, e.confidence) for e in mine.values()} == {("networks", 0.95)}
        half = [e for e in solved(measured, [SPACE], {"tflite"}, 0.02, confidence=0.5).entries if e.statistic == "solved"]
        assert {e.confidence for e in half} == {0.5}
        narrow += [(e.low or 0) <= costs[e.workload.removeprefix("operator:")] <= (e.high or 0) for e in half]
        for arch in SPACE.random(1000 + seed, 20):
            whole = sum(costs[o.key] * n for o, n in SPACE.composition(arch).items() if not o.is_nothing)
            errors.append(abs(found.predict(SPACE, arch).estimate / whole - 1))
    assert np.mean(errors) < 0.03
    assert 0.92 <= np.mean(inside) <= 0.99
    assert 0.4 <= np.mean(narrow) <= 0.65


def test_more_networks_narrow_the_entries() -> None:
    costs = true_ns(3)
    widths = [
        np.median(
            [
                e.relative_half_width or 0.0
                for e in solved(table(costs, count), [SPACE], {"tflite"}, 0.02).entries
                if e.statistic == "solved"
            ]
        )
        for count in (20, 120)
    ]
    assert widths[1] < 0.8 * widths[0]


def test_spaces_that_share_operators_are_solved_together_and_one_that_is_named_twice_once() -> None:
    one, other = (spaces.load(f"nas-bench-201-{name}") for name in ("cifar10", "cifar100"))
    costs: dict[str, float] = {}
    found = []
    for space, seed in ((one, 1), (other, 2)):
        seen = space.under("tflite")
        for arch in balanced(space, seed, 12):
            counts = {o.key: n for o, n in seen.composition(arch).items() if not o.is_nothing}
            costs |= {key: 2000 + 0.1 * work(key)[1] + 0.1 * work(key)[2] for key in counts}
            name = f"network:{space.name}:{space.format(arch)}"
            base = entry("x", sum(costs[key] * n for key, n in counts.items()), half=0.002, backend=TFLITE, statistic="p10_swept")
            found.append(replace(base, key=base.key.replace("operator:x", name), workload=name))
    both = solved(LatencyTable.of(found, manifest()), [one, other, one], {"tflite"}, 0.02)
    mine = {e.workload.removeprefix("operator:"): e.estimate for e in both.entries if e.statistic == "solved"}
    assert mine.keys() == costs.keys()
    assert [mine[key] for key in costs] == pytest.approx(list(costs.values()), rel=0.1)
    assert both.predict(other, other.random(5, 1)[0]).estimate > 0


def test_too_few_networks_and_other_runtimes_give_no_operator() -> None:
    few = table(true_ns(1), 9)
    assert len(solved(few, [SPACE], {"tflite"}, 0.02)) == 9
    enough = table(true_ns(1), 12)
    untouched = solved(enough, [SPACE], {"another"}, 0.02)
    assert (len(untouched), untouched.manifest.composition) == (12, "in_network")


def noisy(measured: LatencyTable, busy: int, factor: float = 1.3) -> LatencyTable:
    """The first so many networks as a busy machine measured them."""
    return LatencyTable.of(
        [
            replace(
                e,
                estimate=factor * (e.estimate or 0),
                low=0.9 * (e.estimate or 0),
                high=2 * (e.estimate or 0),
                flags=("contended", "no_quiet_window", "not_precise"),
            )
            if at < busy
            else e
            for at, e in enumerate(measured.entries)
        ],
        manifest(),
    )


def told(measured: LatencyTable) -> dict[str, Entry]:
    return {e.workload: e for e in solved(measured, [SPACE], {"tflite"}, 0.02).entries if e.statistic == "solved"}


def test_networks_that_a_busy_machine_measured_teach_nothing_where_there_are_enough_others() -> None:
    measured = table(true_ns(2), 40)
    clean = LatencyTable.of(measured.entries[8:], manifest())
    mixed, alone = told(noisy(measured, 8)), told(clean)
    assert {key: mixed[key].estimate for key in alone} == {key: e.estimate for key, e in alone.items()}
    assert all("contended" in mixed[key].flags for key in mixed.keys() - alone.keys())


def test_where_too_few_are_left_the_operators_say_that_a_busy_machine_measured_them() -> None:
    costs = true_ns(2)
    found = told(noisy(table(costs, 40), 35))
    assert all(set(e.flags) == {"contended", "not_precise"} for e in found.values())
    inside = [(e.low or 0) <= costs[key.removeprefix("operator:")] <= (e.high or 0) for key, e in found.items()]
    assert np.mean(inside) > 0.9


def flagged(measured: LatencyTable, count: int, flag: str) -> LatencyTable:
    """The first so many networks with one flag more."""
    return LatencyTable.of(
        [replace(e, flags=(*e.flags, flag)) if at < count else e for at, e in enumerate(measured.entries)], manifest()
    )


@pytest.mark.parametrize(
    ("flag", "count", "is_theirs"),
    [
        ("reference_provisional", 1, True),
        ("reference_stale", 1, True),
        ("throttled", 1, True),
        ("drift", 1, False),
        ("drift", 10, True),
        ("preempted", 9, False),
    ],
)
def test_operators_have_their_networks_flags_but_not_what_chance_raises_in_a_few(flag: str, count: int, is_theirs: bool) -> None:
    found = told(flagged(table(true_ns(2), 20), count, flag))
    assert found
    assert {flag in entry.flags for entry in found.values()} == {is_theirs}


def test_operators_of_a_busy_machine_keep_what_else_is_known_of_it() -> None:
    found = told(flagged(noisy(table(true_ns(2), 20), 15), 20, "reference_provisional"))
    assert all({"contended", "not_precise", "reference_provisional"} <= set(entry.flags) for entry in found.values())
