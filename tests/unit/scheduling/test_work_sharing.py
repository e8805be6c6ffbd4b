"""Who of a pool measures what: each workload once, anchors everywhere, the same again for the same job."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm.scheduling.work_sharing import Item, Share, choose_anchors, divide, expected_ns, item_of, shared_out
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.devices import PoolChoice
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.sources import Sources
from lutfarm_jobs.spaces import load
from lutfarm_jobs.spec import JobSpec, parse_job

UNITS = ("u1", "u2", "u3")
ORT, TFLITE = Backend("onnxruntime"), Backend("tflite")

times = st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.floats(0.01, 50.0), min_size=1, max_size=60)


def items_of(named: dict[str, float]) -> dict[Item, float]:
    return {(f"operator:{name}", ORT.process_key, "steady"): value for name, value in named.items()}


def plan_of(*names: str, units: tuple[str, ...] = UNITS, backend: Backend = ORT) -> tuple[Measurement, ...]:
    return tuple(Measurement(Workload("operator", name), unit, backend) for unit in units for name in names)


@given(times, st.integers(1, 6))
def test_every_item_has_one_device_and_none_has_much_more_to_do(named: dict[str, float], count: int) -> None:
    items, units = items_of(named), [f"u{n}" for n in range(count)]
    given_ = divide(items, units)
    assert given_.keys() == items.keys()
    load = {unit: sum(items[item] for item, name in given_.items() if name == unit) for unit in units}
    assert max(load.values()) <= sum(items.values()) / count + max(items.values())
    assert max(load.values()) - min(load.values()) <= max(items.values()) + 1e-9


@given(times, st.randoms(use_true_random=False))
def test_the_division_does_not_depend_on_the_order(named: dict[str, float], random: Any) -> None:
    items = items_of(named)
    mixed = list(items.items())
    random.shuffle(mixed)
    assert divide(dict(mixed), ["u3", "u1", "u2"]) == divide(items, UNITS)


def test_a_busy_device_is_given_less() -> None:
    items = items_of(dict.fromkeys("abcdef", 1.0))
    assert set(divide(items, ["u1", "u2"], busy_s={"u1": 100.0}).values()) == {"u2"}


@given(times, st.integers(3, 12))
def test_anchors_are_as_many_as_asked_for_and_reach_from_end_to_end(named: dict[str, float], count: int) -> None:
    plan, sizes = plan_of(*named), items_of(named)
    anchors = choose_anchors(plan, sizes, count)
    assert len(anchors) == min(count, len(named))
    assert anchors <= sizes.keys()
    ends = {min(sizes.values()), max(sizes.values())}
    assert {sizes[item] for item in anchors} >= ends
    assert choose_anchors(plan[::-1], sizes, count) == anchors


def test_the_ends_are_anchors_even_where_their_logarithms_are_the_neighbours_too() -> None:
    sizes = items_of({"a": 6.000000000000001, "b": 6.0, "c": 6.000000000000002, "d": 6.000000000000003})
    chosen = {item[0] for item in choose_anchors(plan_of(*"abcd"), sizes, 3)}
    assert {"operator:b", "operator:d"} <= chosen


def test_anchors_are_spread_over_the_logarithms() -> None:
    named = {f"op{n}": 10.0 ** (n / 10) for n in range(101)}
    anchors = choose_anchors(plan_of(*named), items_of(named), 5)
    assert sorted(math.log10(items_of(named)[item]) for item in anchors) == pytest.approx([0, 2.5, 5, 7.5, 10])


def test_each_backend_has_anchors_of_its_own_and_networks_only_fill_up() -> None:
    networks = [Measurement(Workload("network", f"s:{n}"), "u1", TFLITE) for n in range(4)]
    plan = (*plan_of(*"abcdef"), *plan_of("a", "b", backend=TFLITE), *networks)
    sizes = {item_of(m): 10.0 + position for position, m in enumerate(plan)}
    anchors = choose_anchors(plan, sizes, 4)
    assert sum(item[1] == ORT.process_key for item in anchors) == 4
    mine = sorted(item[0].partition(":")[0] for item in anchors if item[1] == TFLITE.process_key)
    assert mine == ["network", "network", "operator", "operator"]


def test_a_shared_plan_has_anchors_on_all_devices_and_first_the_rest_once_and_others_whole() -> None:
    plan = plan_of("a", "b", "c", "d", units=("desk", *UNITS))
    share = Share("p", UNITS, frozenset({item_of(plan[1])}), 0.1)
    given_ = {item_of(plan[0]): "u1", item_of(plan[2]): "u2", item_of(plan[3]): "u1"}
    found = shared_out(plan, share, given_)
    assert [(m.device, m.workload.name) for m in found] == [
        *(("desk", name) for name in "abcd"),
        ("u1", "b"),
        ("u2", "b"),
        ("u3", "b"),
        ("u1", "a"),
        ("u1", "d"),
        ("u2", "c"),
    ]


def test_a_first_guess_orders_operators_and_networks_by_their_work() -> None:
    space = load("fbnet-224")
    sources = Sources({"fbnet-224": space}, {})
    sizes = [expected_ns(Workload("operator", o.key), sources) for o in space.operators() if not o.is_nothing]
    assert min(sizes) > 0
    arch = space.random(0, 1)[0]
    network = expected_ns(Workload("network", f"{space.name}:{space.format(arch)}"), sources)
    assert network > max(sizes)
    assert expected_ns(Workload("file", "m.onnx@abc", "ab" * 32), sources) > 0


def job(*devices: object) -> JobSpec:
    return parse_job(
        {"name": "j", "workloads": [{"operators": ["a"]}], "devices": list(devices), "backends": [{"runtime": "tflite"}]},
        source="job.yaml",
    )


def test_a_pool_replicates_unless_it_is_told_to_share() -> None:
    first, second, third = job("desk", {"profile": "p"}, {"profile": "q", "replicate": "share"}).devices
    assert first == "desk"
    assert second == PoolChoice(profile="p", replicate="all")
    assert isinstance(third, PoolChoice)
    assert (third.anchor_count, third.allowed_spread) == (8, 0.10)


@pytest.mark.parametrize("pool", [{}, {"replicate": "all"}, {"replicate": "share"}, {"replicate": "share", "anchors": 4}])
def test_a_stored_job_is_read_back_equal(pool: dict[str, object]) -> None:
    spec = job({"profile": "p", **pool})
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_pools_terms_are_part_of_the_jobs_identity() -> None:
    share = {"profile": "p", "replicate": "share"}
    ids = {job({"profile": "p"}).id, job(share).id, job(share | {"anchors": 9}).id, job(share | {"max_device_spread": 0.2}).id}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"profile": "p", "replicate": "some"}, "replicate"),
        ({"profile": "p", "replicate": "share", "anchors": 2}, "anchors"),
        ({"profile": "p", "replicate": "share", "anchors": True}, "anchors"),
        ({"profile": "p", "replicate": "share", "max_device_spread": 0}, "max_device_spread"),
        ({"profile": "p", "replicate": "share", "max_device_spread": float("nan")}, "max_device_spread"),
        ({"profile": "p", "anchors": 8}, "are for replicate: share"),
        ({"profile": "p; rm -rf $HOME"}, "profile"),
        ({"profile": "p", "label": {"a": "b"}}, "profile"),
        ({"profle": "p"}, "profle"),
    ],
)
def test_what_a_pool_can_not_be_is_said_with_its_field(device: object, said: str) -> None:
    with pytest.raises(SpecError) as failure:
        job(device)
    assert said in failure.value.detail
    assert "devices" in failure.value.detail


def test_one_network_that_fills_up_is_the_one_in_the_middle() -> None:
    networks = [Measurement(Workload("network", f"s:{n}"), "u1", TFLITE) for n in range(5)]
    plan = (*plan_of("a", "b", backend=TFLITE), *networks)
    sizes = {item_of(m): 10.0 + position for position, m in enumerate(plan)}
    anchors = choose_anchors(plan, sizes, 3)
    assert [item[0] for item in anchors if item[0].startswith("network:")] == ["network:s:2"]
