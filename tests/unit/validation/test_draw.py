"""Networks are drawn over the whole range of their sizes, each once, the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lut_kit import entry, manifest

from lutfarm.lut import LatencyTable
from lutfarm.lut.prediction.predict_many import IntArray
from lutfarm.statistics.samples.process import FloatArray
from lutfarm.validation.draw import draw
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError

FBNET = spaces.load("fbnet-32")


def priced() -> LatencyTable:
    """Every operator costs what it computes."""
    real = [operator for operator in FBNET.operators() if not operator.is_nothing]
    return LatencyTable.of([entry(o.key, 1000.0 + o.multiply_accumulates / 100) for o in real], manifest())


def test_a_draw_reaches_over_the_whole_range_and_repeats() -> None:
    table = priced()
    one, other = draw(FBNET, lambda archs: table.predict_many(FBNET, archs), [20, 10], seed=5)
    assert (one, other) == draw(FBNET, lambda archs: table.predict_many(FBNET, archs), [20, 10], seed=5)
    assert len({*one, *other}) == 30
    random = table.predict_many(FBNET, np.array(FBNET.random(5, 1000)))
    for part in (one, other):
        sizes = table.predict_many(FBNET, np.array(part))
        assert sizes.min() < np.quantile(random, 0.05)
        assert sizes.max() > np.quantile(random, 0.95)
    assert one != draw(FBNET, lambda archs: table.predict_many(FBNET, archs), [20], seed=6)[0]


def test_networks_that_were_seen_or_cant_be_predicted_are_not_drawn() -> None:
    first = draw(FBNET, lambda archs: np.ones(len(archs)), [50], seed=1)[0]
    again = draw(FBNET, lambda archs: np.where(archs[:, 0] == 0, np.nan, 1.0), [50], seed=1, without=first)[0]
    assert not set(first) & set(again)
    assert all(arch[0] != 0 for arch in again)


def test_too_few_networks_are_refused_with_their_number() -> None:
    with pytest.raises(SpecError, match=r"20 networks are wanted .* 0 are"):
        draw(FBNET, lambda archs: np.full(len(archs), np.nan), [20], seed=1)


def test_one_network_of_many_architectures_is_drawn_once() -> None:
    space = spaces.load("nas-bench-201-cifar10")
    found = draw(space, lambda archs: np.ones(len(archs)), [100], seed=1)[0]
    assert len({frozenset(space.composition(arch).items()) for arch in found}) == 100


def by_first_layer(archs: IntArray) -> FloatArray:
    """A network's latency hangs on its first choice alone: 1 ms, 10 ms, 100 ms, ..."""
    return 1e6 * 10.0 ** archs[:, 0]


def test_a_draw_is_even_over_the_logarithm_of_the_sizes() -> None:
    choices = len(FBNET.layers[0].choices)
    (found,) = draw(FBNET, by_first_layer, [choices], seed=3)
    assert sorted(arch[0] for arch in found) == list(range(choices))


def test_where_no_network_is_of_a_size_the_nearest_ones_stand_in() -> None:
    (found,) = draw(FBNET, lambda archs: np.where(archs[:, 0] == 0, 1e6, 1e9), [10], seed=3)
    assert len(set(found)) == 10
    small = sum(arch[0] == 0 for arch in found)
    assert small == 5  # half of the parts are nearer to 1 ms than to 1 s, on a logarithmic scale


def test_networks_that_all_take_as_long_are_drawn_too() -> None:
    (found,) = draw(FBNET, lambda archs: np.ones(len(archs)), [10], seed=3)
    assert len(set(found)) == 10


def test_a_count_of_none_draws_none_and_leaves_the_others_as_many() -> None:
    none, some = draw(FBNET, by_first_layer, [0, 5], seed=3)
    assert (none, len(some)) == ((), 5)


@pytest.mark.parametrize("latency_ns", [0.0, -1.0, np.nan])
def test_what_has_no_latency_is_no_candidate(latency_ns: float) -> None:
    (found,) = draw(FBNET, lambda archs: np.where(archs[:, 0] == 0, latency_ns, 1e6), [20], seed=3)
    assert all(arch[0] != 0 for arch in found)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(0, 1000))
def test_any_draw_holds_networks_of_the_space_each_once(counts: list[int], seed: int) -> None:
    drawn = draw(FBNET, by_first_layer, counts, seed=seed)
    assert [len(part) for part in drawn] == counts
    every = [arch for part in drawn for arch in part]
    assert len(set(every)) == len(every)
    assert all(FBNET.check(arch) == arch for arch in every)
