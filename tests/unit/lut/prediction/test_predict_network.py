"""From entries to networks, one and many."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lut_kit import NOTHING, ORT, TFLITE, A, B, C, Op, TinySpace, entry, failed, manifest

from lutfarm.lut import Entry, LatencyTable, MissingEntry
from lutfarm.lut.prediction.predict_many import CHUNK
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.base import Space

COSTS = {"A": 100.0, "B": 20.0, "C": 3.0, "D": 1000.0}


def table(*but: str, **changes: object) -> LatencyTable:
    return LatencyTable.of([entry(k, v, **changes) for k, v in COSTS.items() if k not in but], manifest())  # type: ignore[arg-type]


EVERY = [(a, b) for a in range(2) for b in range(3)]
SUMS = {(0, 0): 1200.0, (0, 1): 1143.0, (0, 2): 1100.0, (1, 0): 1120.0, (1, 1): 1063.0, (1, 2): 1020.0}


@pytest.mark.parametrize("arch", EVERY)
def test_a_network_is_the_sum_of_its_operators(arch: tuple[int, int]) -> None:
    found = table().predict(TinySpace(), arch)
    assert found.estimate == SUMS[arch]
    assert (found.coverage, found.missing, found.composed, found.flags) == (1.0, (), "sum of entries", ())


def test_many_are_the_same_as_one_by_one() -> None:
    archs = np.array(EVERY)
    assert table().predict_many(TinySpace(), archs).tolist() == pytest.approx([SUMS[arch] for arch in EVERY])
    found = table(common_share=0.4).predict_many(TinySpace(), archs, interval=True)
    for arch, row in zip(EVERY, found, strict=True):
        one = table(common_share=0.4).predict(TinySpace(), arch)
        assert row.tolist() == pytest.approx([one.estimate, one.low, one.high])


@pytest.mark.parametrize(
    ("share", "half"),
    [
        # A twice, 100 +- 2 each: the same error twice; D 1000 +- 20 on its own
        (0.0, math.hypot(2 * 2, 20)),
        (1.0, 2 * 2 + 20),
        (0.25, math.sqrt(0.75 * (4**2 + 20**2) + (0.5 * (4 + 20)) ** 2)),
        (None, 2 * 2 + 20),  # what is not known to be independent is not taken for it
    ],
)
def test_the_interval_of_a_sum(share: float | None, half: float) -> None:
    found = table(common_share=share).predict(TinySpace(), (0, 0))
    assert found.high == pytest.approx(1200 + half)
    assert found.low == pytest.approx(1200 - half)


def test_a_lopsided_interval_stays_lopsided_and_never_goes_below_zero() -> None:
    wild = replace(entry("A", 100.0), low=99.0, high=400.0)
    space = TinySpace(choices=(({A: 1}, {B: 1}),), always={})
    found = LatencyTable.of([wild, replace(entry("B", 1.0), low=0.0, high=9.0)], manifest()).predict(space, (0,))
    assert (found.low, found.high) == (pytest.approx(99.0), pytest.approx(400.0))
    low = LatencyTable.of([wild, replace(entry("B", 1.0), low=0.0, high=9.0)], manifest())
    assert low.predict(TinySpace(choices=(({B: 3},),), always={}), (0,)).low == 0.0


def test_flags_of_the_entries_go_along() -> None:
    entries = [
        entry("A", flags=("converged", "reference_provisional")),
        entry("D", flags=("contended", "not_precise")),
        entry("B"),
    ]
    found = LatencyTable.of([*entries, entry("C")], manifest()).predict(TinySpace(), (0, 0))
    assert found.flags == ("contended", "not_precise", "reference_provisional")
    assert LatencyTable.of([*entries, entry("C")], manifest()).predict(TinySpace(always={}), (1, 2)).flags == ()


def test_a_missing_operator_is_an_error_that_says_which_and_how_to_get_it() -> None:
    with pytest.raises(MissingEntry, match="no latency for 2 of the 4 operators") as caught:
        table("B", "C").predict(TinySpace(), (0, 1))
    assert "desk with onnxruntime-cpu-t1-fp32" in str(caught.value)
    assert "needed: B, C; measure them with a job that has `- operators: [B, C]`, or allow" in str(caught.value)
    assert "allow_partial" in str(caught.value)
    assert isinstance(caught.value, SpecError)


def test_only_what_the_network_needs_can_be_missing() -> None:
    assert table("C").predict(TinySpace(), (1, 0)).estimate == 1120.0
    assert table("C").predict_many(TinySpace(), np.array([[1, 0], [0, 2]])).tolist() == [1120.0, 1100.0]


def test_a_failed_operator_is_missing_and_says_how_it_failed() -> None:
    entries = LatencyTable.of([*table("B").entries, failed("B")], manifest())
    with pytest.raises(MissingEntry, match=r"B \(failed: OutOfMemory: asked for 40 GB\)") as caught:
        entries.predict(TinySpace(), (1, 0))
    assert "- operators" not in str(caught.value)
    partial = entries.predict(TinySpace(), (1, 0), allow_partial=True)
    assert partial.missing == ("B",)


def test_a_partial_sum_says_what_it_lacks_and_has_no_interval() -> None:
    found = table("B").predict(TinySpace(), (0, 1), allow_partial=True)
    assert found.estimate == 1103.0
    assert (found.low, found.high) == (None, None)
    assert found.missing == ("B",)
    assert found.coverage == 3 / 5  # A, C, D are there; B is needed twice


def test_a_table_of_nothing_covers_nothing() -> None:
    found = LatencyTable.of([entry("other")], manifest()).predict(TinySpace(), (0, 0), allow_partial=True)
    assert (found.estimate, found.coverage, set(found.missing)) == (0.0, 0.0, {"A", "D"})


def test_a_network_of_nothing_takes_nothing() -> None:
    space = TinySpace(choices=(({NOTHING: 1},),), always={})
    found = table().predict(space, (0,))
    assert (found.estimate, found.low, found.high, found.coverage) == (0.0, 0.0, 0.0, 1.0)
    assert table().predict_many(space, np.array([[0]]), interval=True).tolist() == [[0.0, 0.0, 0.0]]


def test_many_missing_operators_are_counted_not_all_listed() -> None:
    space = TinySpace(choices=(({Op(f"op{n}"): 1 for n in range(30)},),), always={})
    with pytest.raises(MissingEntry, match=r"30 of the 30 .* and 22 more"):
        table().predict(space, (0,))


@pytest.mark.parametrize("interval", [False, True])
@pytest.mark.parametrize("space", [TinySpace(), TinySpace(twist={C: 1})])
def test_many_with_one_that_lacks_an_operator_is_an_error(space: TinySpace, interval: bool) -> None:
    with pytest.raises(MissingEntry, match=r"operators: \[B, C\]"):
        table("B", "C").predict_many(space, np.array([[0, 2], [0, 1]]), interval=interval)


def test_a_fixed_operator_that_lacks_is_an_error_everywhere() -> None:
    for ask in (lambda t: t.predict_many(TinySpace(), np.array([[0, 0]])), lambda t: t.fixed_ns(TinySpace())):
        with pytest.raises(MissingEntry, match="D"):
            ask(table("D"))


@pytest.mark.parametrize("mixed", [[entry("A"), entry("A", backend=TFLITE)], [entry("A"), entry("A", device="board")], []])
def test_a_prediction_needs_one_place_and_lists_what_there_is(mixed: list[Entry]) -> None:
    with pytest.raises(SpecError, match="one device and backend") as caught:
        LatencyTable.of(mixed, manifest()).predict(TinySpace(), (0, 0))
    for one in mixed:
        assert f"{one.device} with {one.backend}" in str(caught.value)


def test_after_selecting_one_place_it_predicts() -> None:
    both = [*table().entries, *(entry(k, 2 * v, backend=TFLITE) for k, v in COSTS.items())]
    found = LatencyTable.of(both, manifest()).select(backend=TFLITE.key).predict(TinySpace(), (0, 0))
    assert found.estimate == 2400.0


def test_statistics_that_estimate_different_things_are_not_added_up() -> None:
    tool = [replace(e, statistic="mean") if e.workload == "operator:D" else e for e in table().entries]
    for ask in (lambda t: t.predict(TinySpace(), (0, 0)), lambda t: t.predict_many(TinySpace(), np.array([[0, 0]]))):
        with pytest.raises(SpecError, match="statistics mean, p25_quiet"):
            ask(LatencyTable.of(tool, manifest()))


@pytest.mark.parametrize("statistic", ["p10_swept", "p25_contended"])
def test_swept_and_gated_entries_estimate_the_same(statistic: str) -> None:
    both = [replace(e, statistic=statistic) if e.workload == "operator:D" else e for e in table().entries]
    assert LatencyTable.of(both, manifest()).predict(TinySpace(), (0, 0)).estimate == 1200.0


def test_two_entries_of_one_operator_are_no_choice_to_make() -> None:
    batch = replace(entry("A"), key="latency/operator:A/desk/x/b8-steady", conditions="b8-steady")
    with pytest.raises(SpecError, match="more than one entry of 'operator:A'"):
        LatencyTable.of([entry("A"), batch], manifest()).predict(TinySpace(), (0, 0))


@pytest.mark.parametrize(
    ("archs", "said"),
    [
        ([[0, 3]], r"archs\[0, 1\] is 3; layer 'layer1' has choices 0 to 2"),
        ([[0, 0], [2, 0]], r"archs\[1, 0\] is 2; layer 'layer0' has choices 0 to 1"),
        ([[0, -1]], r"archs\[0, 1\] is -1"),
        ([[0, 0, 0]], r"shape \(n, 2\)"),
        ([0, 0], r"shape \(n, 2\)"),
        ([[0.0, 1.0]], "whole numbers, these are float64"),
        ([[True, False]], "whole numbers, these are bool"),
        ([[2**40, 0]], r"archs\[0, 0\]"),
    ],
)
@pytest.mark.parametrize("space", [TinySpace(), TinySpace(twist={C: 1})])
def test_what_is_no_architecture_is_refused(archs: list, said: str, space: TinySpace) -> None:
    with pytest.raises(SpecError, match=said):
        table().predict_many(space, np.array(archs))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "uint64", ">i4"])
def test_any_kind_of_integer_will_do(kind: str) -> None:
    assert table().predict_many(TinySpace(), np.array(EVERY, dtype=kind)).tolist() == pytest.approx(list(SUMS.values()))


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("space", [TinySpace(), TinySpace(twist={C: 1})])
def test_any_number_of_architectures(count: int, space: TinySpace) -> None:
    archs = np.tile([[1, 0]], (count, 1))
    assert table().predict_many(space, archs).tolist() == [1120.0] * count
    assert table().predict_many(space, archs, interval=True).shape == (count, 3)


def test_other_layouts_of_memory_give_the_same() -> None:
    archs = np.array(EVERY * 3)
    for other in (np.asfortranarray(archs), np.repeat(archs, 2, axis=0)[::2]):
        assert table().predict_many(TinySpace(), other).tolist() == pytest.approx(list(SUMS.values()) * 3)


def test_what_networks_add_beyond_their_choices_counts_too() -> None:
    space = TinySpace(twist={C: 10})
    assert table().predict(space, (0, 0)).estimate == 1230.0
    assert table().predict_many(space, np.array([[0, 0], [0, 2]])).tolist() == [1230.0, 1100.0]


def test_each_different_network_is_composed_once() -> None:
    space, prices = TinySpace(twist={C: 10}), table()
    prices.predict_many(space, np.array([[0, 0], [0, 2]] * 500))
    prices.predict_many(space, np.array([[0, 0], [1, 1]] * 500), interval=True)
    assert space.composed == 3


def test_a_large_space_is_composed_without_keeping_it() -> None:
    space = TinySpace(choices=[[{A: 1}, {B: 1}]] * 30, twist={C: 10})
    archs = np.zeros((3, 30), dtype=int)
    archs[1, 5] = 1
    assert table().predict_many(space, archs).tolist() == pytest.approx([4030.0, 3920.0, 4030.0])
    assert space.composed == 2


def test_the_matrix_holds_what_each_choice_adds() -> None:
    found = table().matrix(TinySpace())
    assert np.array_equal(found, [[100.0, 20.0, np.nan], [100.0, 43.0, 0.0]], equal_nan=True)
    assert table().fixed_ns(TinySpace()) == 1000.0


def test_a_matrix_with_holes_is_an_error() -> None:
    with pytest.raises(MissingEntry, match=r"operators: \[C\]"):
        table("C").matrix(TinySpace())
    assert table("D").matrix(TinySpace()).shape == (2, 3)


def test_a_table_serves_more_spaces_than_it_keeps() -> None:
    prices = table()
    many = [TinySpace(choices=(({A: n + 1},),), always={}) for n in range(20)]
    for _ in range(2):
        assert [prices.predict(space, (0,)).estimate for space in many] == [100.0 * (n + 1) for n in range(20)]


small_choices = st.dictionaries(st.sampled_from([A, B, C, NOTHING]), st.integers(1, 5), max_size=3)
small_spaces = st.lists(st.lists(small_choices, min_size=1, max_size=4), min_size=1, max_size=9)


@given(small_spaces, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_every_way_to_predict_agrees(choices: list, seed: int, share: float) -> None:
    space, prices = TinySpace(choices=choices), table(common_share=share)
    counts = [len(layer) for layer in choices]
    archs = np.random.default_rng(seed).integers(0, counts, (7, len(counts)))
    found = prices.predict_many(space, archs, interval=True)
    matrix, fixed = prices.matrix(space), prices.fixed_ns(space)
    assert found[:, 0].tolist() == pytest.approx((matrix[np.arange(len(counts)), archs].sum(axis=1) + fixed).tolist())
    for arch, row in zip(archs, found, strict=True):
        one = prices.predict(space, arch)
        assert row.tolist() == pytest.approx([one.estimate, one.low, one.high], rel=1e-9, abs=1e-6)


REAL = ("fbnet-224", "fbnet-32", "proxylessnas-224", "ofa-mbv3-w1.2-160", "nas-bench-201-cifar10")


@pytest.fixture(scope="module")
def dice() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("name", REAL)
def test_the_real_spaces(name: str, dice: np.random.Generator) -> None:
    space = spaces.load(name)
    operators = [o for o in (*space.operators(), *space.extras()) if not o.is_nothing]
    costs = {o.key: float(dice.uniform(1e3, 1e6)) for o in operators}
    prices = LatencyTable.of([entry(key, value, common_share=0.3) for key, value in costs.items()], manifest())
    archs = space.random(3, 40)
    found = prices.predict_many(space, np.array(archs), interval=True)
    for arch, row in zip(archs, found, strict=True):
        by_hand = sum(costs[o.key] * n for o, n in space.composition(arch).items() if not o.is_nothing)
        one = prices.predict(space, arch)
        assert one.estimate == pytest.approx(by_hand)
        assert row.tolist() == pytest.approx([one.estimate, one.low, one.high])
        assert one.coverage == 1.0
    assert prices.matrix(space).shape == (len(space.layers), max(len(layer.choices) for layer in space.layers))


def test_a_table_of_the_published_operators_alone_lacks_the_additions() -> None:
    """NAS-Bench-201's published tables leave the node additions out; the prediction says so."""
    space = spaces.load("nas-bench-201-cifar10")
    published = [entry(o.key) for o in space.operators() if not o.is_nothing]
    with pytest.raises(MissingEntry, match="of the"):
        LatencyTable.of(published, manifest()).predict(space, (3,) * 6)


def test_a_table_with_what_the_runtime_computes_predicts_from_that_and_one_without_from_the_choices() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    merged = space.under("onnxruntime")
    plain = [o for o in (*space.operators(), *space.extras()) if not o.is_nothing]
    every = dict.fromkeys((*plain, *merged.extras()))
    archs = space.random(4, 30)
    for backend, entries, seen in ((ORT, every, merged), (ORT, plain, space), (TFLITE, every, space.under("tflite"))):
        prices = LatencyTable.of([entry(o.key, 100.0 + at, backend=backend) for at, o in enumerate(entries)], manifest())
        assert prices.computed(space) == seen
        costs = {o: 100.0 + at for at, o in enumerate(entries)}
        by_hand = [sum(costs[o] * n for o, n in seen.composition(arch).items() if not o.is_nothing) for arch in archs]
        assert prices.predict_many(space, np.array(archs)).tolist() == pytest.approx(by_hand)
        assert [prices.predict(space, arch).estimate for arch in archs] == pytest.approx(by_hand)


def test_a_prediction_says_which_operators_it_added_up() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    merged = space.under("onnxruntime")
    every = list(dict.fromkeys(o for o in (*space.operators(), *space.extras(), *merged.extras()) if not o.is_nothing))
    alone = [o for o in merged.extras() if o not in {*space.operators(), *space.extras()}]

    def how(*left_out: Operator, runtime: str = "onnxruntime") -> str:
        entries = [entry(o.key, backend=Backend(runtime)) for o in every if o not in left_out]
        return LatencyTable.of(entries, manifest()).predict(space, (3,) * 6).composed

    assert how() == "sum of entries of what onnxruntime computes"
    assert how(alone[0]) == f"sum of entries choice by choice (no entry of {alone[0].key}, which onnxruntime computes)"
    assert f"{alone[0].key} and {len(alone) - 1} more," in how(*alone)
    assert how(runtime="tflite_benchmark_model") == "sum of entries"


def table_of_elsewhere(space: Space) -> LatencyTable:
    """Of a runtime that is not installed."""
    operators = dict.fromkeys(o for o in (*space.operators(), *space.extras()) if not o.is_nothing)
    return LatencyTable.of([entry(o.key, backend=Backend("elsewhere")) for o in operators], manifest())


def test_what_a_runtime_fuses_that_is_not_known_here_is_not_guessed() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    prices, archs = table_of_elsewhere(space), space.random(1, 2)
    said = r"what elsewhere computes .* is not known here: there is no runtime 'elsewhere'"
    with pytest.raises(SpecError, match=said):
        prices.predict(space, archs[0])
    with pytest.raises(SpecError, match=said):
        prices.predict_many(space, np.array(archs))


def test_where_no_runtime_fuses_across_choices_an_unknown_one_is_as_good() -> None:
    space = spaces.load("fbnet-224")
    assert table_of_elsewhere(space).predict(space, space.random(1, 1)[0]).composed == "sum of entries"


def test_a_failed_operator_of_the_runtime_is_an_error_and_no_other_sum() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    merged = space.under("onnxruntime")
    lost = next(o.key for o in merged.extras() if o.kind == "act")
    real = dict.fromkeys(o for o in (*space.operators(), *merged.extras()) if not o.is_nothing)
    prices = LatencyTable.of([failed(o.key) if o.key == lost else entry(o.key) for o in real], manifest())
    with pytest.raises(MissingEntry, match="failed: OutOfMemory"):
        prices.predict(space, space.parse("|avg_pool_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"))


@settings(max_examples=20)
@given(st.integers(0, 15_624))
def test_pruned_networks_cost_no_more_than_their_matrix_and_additions(place: int) -> None:
    space = spaces.load("nas-bench-201-cifar10")
    operators = [o for o in (*space.operators(), *space.extras()) if not o.is_nothing]
    prices = LatencyTable.of([entry(o.key) for o in operators], manifest())
    arch = np.array(np.unravel_index(place, (5,) * 6))
    unpruned = prices.matrix(space)[np.arange(6), arch].sum() + prices.fixed_ns(space)
    additions = sum(n for o, n in space.composition(arch).items() if o in space.extras())
    assert prices.predict(space, arch).estimate <= unpruned + 100.0 * additions + 1e-6


@pytest.mark.parametrize("nothing", [[], np.zeros(0, dtype=int), np.zeros((0, 2), dtype=int)], ids=["list", "flat", "rows"])
@pytest.mark.parametrize("space", [TinySpace(), TinySpace(twist={C: 1})])
def test_no_architectures_have_no_latencies(space: TinySpace, nothing: list) -> None:
    assert table().predict_many(space, nothing).shape == (0,)
    assert table().predict_many(space, nothing, interval=True).shape == (0, 3)
