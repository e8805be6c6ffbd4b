"""Operators from networks under a profiler: attribution, the profiler's own time, the entries."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lut_kit import ORT, UNIT, manifest, piece, run

from lutfarm.lut import Entry, LatencyTable
from lutfarm.lut.building.build_table import build_table
from lutfarm.lut.building.profiled import Layers, attribute, in_network, overhead_ns, profiled
from lutfarm_agents.wire import events
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import ProtocolMismatch
from lutfarm_jobs.measurement import Measurement, Workload
from lutfarm_jobs.run import NodeTime, Run
from lutfarm_jobs.spaces.balanced import balanced

LABELS = ("stem", "block", "block", "last")


def node(name: str, estimate_ns: int, operator: str = "Conv") -> NodeTime:
    return NodeTime(name, operator, 20, estimate_ns)


def test_fused_and_inserted_nodes_belong_to_a_layer() -> None:
    found = attribute(
        [
            node("ReorderInput", 5, "ReorderInput"),
            node("t0_nchwc", 10),
            node("t1", 20),
            node("ReorderOutput_token_9", 3),
            node("t2_grouped", 4, "Reshape"),
            node("t2", 6),
            node("output", 8, "Gemm"),
            node("ReorderOutput_token_10", 2),
        ],
        LABELS,
    )
    assert found == {"stem": (15.0, 2), "block": (33.0, 4), "last": (10.0, 2)}


@given(st.lists(st.text(max_size=12)))
def test_no_name_is_trusted(names: list[str]) -> None:
    found = attribute([node(name, 1) for name in names], LABELS)
    assert sum(ns for ns, _ in found.values()) <= len(names)


def synthetic(
    seed: int = 1, networks: int = 14, processes: int = 4, *, too_long_ns: int = 1500, call_ns: int = 3000, shift: float = 0.04
):
    """Networks of a stem, three of four blocks and a tail, whose profiler takes time of its own."""
    dice = random.Random(seed)
    costs = {"stem": 50_000, "b0": 20_000, "b1": 60_000, "b2": 110_000, "b3": 9_000, "last": 15_000}
    plan, runs, layers = [], [], {}
    shifts = [dice.gauss(1, shift) for _ in range(processes)]
    for number in range(networks):
        chosen = [f"b{dice.randrange(4)}" for _ in range(3)]
        labels = ["stem", *chosen, "last"]
        measurement = Measurement(Workload("network", f"s:{number}"), UNIT, ORT)
        plan.append(measurement)
        layers[measurement.workload.name] = labels, Counter(labels)
        for process, shift in enumerate(shifts):
            spans = [round(costs[label] * shift * dice.gauss(1, 0.005)) for label in labels]
            one = run(*(piece(round(sum(spans) + call_ns), gated=False) for _ in range(4)), number=process, key=measurement.key)
            names = [*(f"t{at}_nchwc" for at in range(4)), "output"]
            runs.append(
                replace(
                    one,
                    id=f"{number:016x}{process:016x}",
                    nodes=tuple(node(name, span + too_long_ns) for name, span in zip(names, spans, strict=True)),
                )
            )
    return plan, runs, layers, costs


def table_of(plan: list[Measurement], runs: list[Run]) -> LatencyTable:
    return build_table(plan, sorted(runs, key=lambda r: r.key), manifest=manifest())


def test_operators_cost_what_they_add_and_the_profiler_nothing() -> None:
    plan, runs, layers, costs = synthetic()
    table = in_network(
        table_of(plan, runs), runs, plan, layers, call_ns={(UNIT, ORT.key): 3000.0}, first="stem", relative_target=0.02
    )
    assert table.manifest.composition == "in_network"
    found = {e.workload.removeprefix("operator:"): e for e in table.entries if e.workload.startswith("operator:")}
    assert set(found) == set(costs)
    scale = (found["b2"].estimate or 0) / costs["b2"]  # of the mean process
    assert scale == pytest.approx(1, abs=0.05)
    for key, cost in costs.items():
        wanted = cost * scale + (3000 if key == "stem" else 0)
        assert found[key].estimate == pytest.approx(wanted, rel=0.02, abs=100), key
        assert (found[key].statistic, found[key].scope, found[key].rounds) == ("in_network", "networks", 4)


def test_the_profilers_own_time_is_told_from_runs_without_it() -> None:
    _, runs, layers, _ = synthetic(too_long_ns=700)
    one = runs[0]
    labels, instances = layers["s:0"]
    found = profiled(one, labels, instances)
    assert found is not None
    assert overhead_ns([found], 3000.0) == pytest.approx(700, abs=1)
    assert profiled(replace(one, nodes=()), labels, instances) is None


def test_runs_of_an_older_runtime_do_not_count() -> None:
    plan, runs, layers, _ = synthetic()
    older = [
        replace(
            one,
            id=f"f{one.id[1:]}",
            round_id=f"old{one.round_id}",
            started_s=one.started_s - 900,
            fingerprint={"os": "older"},
            nodes=tuple(replace(each, lower_mean_ns=9 * each.lower_mean_ns) for each in one.nodes),
        )
        for one in runs
    ]
    found = [
        in_network(table_of(plan, runs), some, plan, layers, call_ns={}, first="stem", relative_target=0.02).entries
        for some in (runs, [*older, *runs])
    ]
    assert found[0] == found[1]


def test_operators_of_networks_that_were_never_profiled_are_failures_that_say_why() -> None:
    plan, runs, layers, costs = synthetic()
    bare = [replace(one, nodes=()) for one in runs]
    table = in_network(table_of(plan, bare), bare, plan, layers, call_ns={}, first="stem", relative_target=0.02)
    found = {e.workload: e for e in table.entries if e.workload.startswith("operator:")}
    assert set(found) == {f"operator:{name}" for name in costs}
    assert {(e.kind, e.failure_code, e.estimate) for e in found.values()} == {("failed", "Unstable", None)}
    assert all("measured on a busy machine" in (e.failure_detail or "") for e in found.values())


def test_what_has_an_entry_already_is_no_failure_for_want_of_a_profile() -> None:
    plan, runs, layers, _ = synthetic()
    bare = [replace(one, nodes=()) for one in runs]
    before = table_of(plan, bare)
    some = before.entries[0]
    nothing = Entry(
        key=some.key.replace(some.workload, "operator:b0"),
        workload="operator:b0",
        device=some.device,
        backend=some.backend,
        kind="zero",
        conditions=some.conditions,
        precision=some.precision,
        batch_size=some.batch_size,
        estimate=0.0,
        low=0.0,
        high=0.0,
        confidence=some.confidence,
    )
    whole = LatencyTable.of((*before.entries, nothing), manifest())
    table = in_network(whole, bare, plan, layers, call_ns={}, first="stem", relative_target=0.02)
    assert [e.kind for e in table.entries if e.workload == "operator:b0"] == ["zero"]


@pytest.mark.parametrize("name", ["fbnet-224", "nas-bench-201-cifar10", "ofa-mbv3-w1.0-224"])
def test_balanced_networks_have_every_operator_and_labels_for_every_layer(name: str) -> None:
    space = spaces.load(name)
    archs = balanced(space, 0, 40)
    assert len(set(archs)) == 40
    assert archs == balanced(space, 0, 40)
    met = Counter(operator for arch in archs for operator in space.composition(arch))
    real = {operator for operator in (*space.operators(), *space.extras()) if not operator.is_nothing}
    assert real <= set(met)
    for arch in archs[:5]:
        graph = space.network(arch)
        assert len(graph.labels) == len(graph.nodes)
        known = {operator.key for operator in space.composition(arch)}
        assert set(graph.labels) - {""} <= known
        assert {operator.key for operator in space.composition(arch) if not operator.is_nothing} <= set(graph.labels)


def test_a_layer_of_nine_choices_meets_each_equally_often() -> None:
    archs = balanced(spaces.load("fbnet-224"), 3, 18)
    assert all(set(Counter(column).values()) == {2} for column in zip(*archs, strict=True))


def test_what_a_device_says_of_nodes_is_checked() -> None:
    good = {"name": "t1", "operator": "Conv", "count": 3, "lower_mean_ns": 100}
    assert events.nodes({"id": 0, "nodes": [good]}, 1).nodes == (NodeTime("t1", "Conv", 3, 100),)
    for bad in (good | {"lower_mean_ns": -1}, good | {"count": 0}, good | {"name": 3}, "t1", good | {"lower_mean_ns": 1e9}):
        with pytest.raises(ProtocolMismatch):
            events.nodes({"id": 0, "nodes": [bad]}, 1)
    with pytest.raises(ProtocolMismatch):
        events.nodes({"id": 1, "nodes": []}, 1)


def busy(one: Run, factor: float) -> Run:
    """As a busy machine measured it: no iteration was quiet, and everything took longer."""
    return replace(
        one,
        slices=tuple(
            replace(
                each,
                quiet=False,
                canary_after_ns=2 * each.canary_after_ns,
                samples_ns=(round(factor * each.samples_ns[0]),),
                wall_ns=round(factor * each.wall_ns),
                cpu_ns=round(factor * each.cpu_ns),
            )
            for each in one.slices
        ),
        nodes=tuple(replace(each, lower_mean_ns=round(factor * each.lower_mean_ns)) for each in one.nodes),
    )


def derived(plan: list[Measurement], runs: list[Run], layers: Layers) -> dict[str, Entry]:
    table = in_network(table_of(plan, runs), runs, plan, layers, call_ns={}, first="stem", relative_target=0.02)
    return {e.workload.removeprefix("operator:"): e for e in table.entries if e.workload.startswith("operator:")}


def test_processes_that_a_busy_machine_held_up_move_no_operator() -> None:
    plan, runs, layers, _ = synthetic(processes=5)
    good = derived(plan, [one for one in runs if one.round_index != 2], layers)
    mixed = derived(plan, [busy(one, 3.0) if one.round_index == 2 else one for one in runs], layers)
    told = [{key: (e.estimate, e.flags) for key, e in entries.items()} for entries in (mixed, good)]
    assert told[0] == told[1]


def test_operators_that_only_a_busy_machine_measured_say_so() -> None:
    plan, runs, layers, costs = synthetic()
    found = derived(plan, [busy(one, 1.4) for one in runs], layers)
    assert set(found) == set(costs)
    for key, entry in found.items():
        assert entry.flags == ("contended", "not_precise")
        assert (entry.low or 0) <= costs[key] * 1.05
        assert (entry.low or 0) <= (entry.estimate or 0) <= (entry.high or 0)


def test_what_canaries_cant_have_shown_of_quiet_processes_widens_the_operators_and_flags_them() -> None:
    plan, runs, layers, _ = synthetic()
    known = [replace(one, slices=tuple(replace(each, quiet=True) for each in one.slices)) for one in runs]
    ends_loud = [
        replace(
            one,
            slices=(
                *one.slices[:2],
                *(replace(each, quiet=False, canary_after_ns=2 * each.canary_after_ns) for each in one.slices[2:]),
            ),
        )
        for one in known
    ]
    good, doubted = derived(plan, known, layers), derived(plan, ends_loud, layers)
    for key, entry in doubted.items():
        assert "contended" in entry.flags
        assert "converged" not in entry.flags
        assert (entry.low or 0) < 0.97 * (good[key].low or 0)


def test_operators_of_a_device_that_is_not_known_well_say_so() -> None:
    plan, runs, layers, _ = synthetic()
    found = derived(plan, [replace(one, reference_provisional=True) for one in runs], layers)
    assert found
    assert all("reference_provisional" in entry.flags for entry in found.values())


def test_operators_say_what_share_of_their_variance_the_sweep_has_in_common() -> None:
    """What no number of networks averages out: all of it where nothing tells the processes apart, little where they are alike."""
    shares = [
        {key: entry.common_share for key, entry in derived(plan, runs, layers).items()}
        for plan, runs, layers, _ in (synthetic(shift=0.05), synthetic(shift=0.0005), synthetic(processes=2))
    ]
    assert min(shares[0].values()) > 0.9
    assert max(shares[1].values()) < 0.5
    assert set(shares[2].values()) == {1.0}


def test_operators_say_how_far_apart_the_networks_put_them() -> None:
    """Networks whose processes agree within half a percent put an operator so far apart at most; a noise of none, not at all."""
    plan, runs, layers, _ = synthetic()
    spreads = [entry.between_spread for entry in derived(plan, runs, layers).values()]
    assert all(spread is not None and 0 < spread < 0.05 for spread in spreads)
