"""From isolated entries and a few measured networks to any network: what is learnt, and whether intervals keep their word."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.lut_kit import ORT, UNIT, entry, manifest

from lutfarm.lut import LatencyTable, TableDevice
from lutfarm.lut.calibration.design import Estimate, Terms, Toward
from lutfarm.lut.calibration.posterior import Posterior, calibrate
from lutfarm.lut.calibration.priors_from_entries import estimates
from lutfarm.lut.calibration.shared_effects import features_of
from lutfarm.lut.schema.calibration_record import Observed, Priors, calibration_of
from lutfarm.validation.calibration_input import predictions_ns
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Space

Arch = tuple[int, ...]


@dataclass(frozen=True)
class World:
    """A space in which every operator takes something else inside networks than by itself, drawn from the priors."""

    space: Space
    entries: dict[str, Estimate]
    true_ns: dict[str, float]
    intercept: float
    noise: float
    error: float  # of each measured network
    dice: np.random.Generator

    @classmethod
    def drawn(cls, name: str, runtime: str, seed: int) -> World:
        dice = np.random.default_rng(seed)
        space = spaces.load(name).under(runtime)
        chosen = (o for layer in space.layers for choice in layer.choices for o, _ in choice.parts)
        every = dict.fromkeys((*(o for o, _ in space.fixed), *space.extras(), *chosen))
        real = [o for o in every if not o.is_nothing]
        entries = {o.key: Estimate(1000.0 + 0.05 * o.multiply_accumulates, 0.01) for o in real}
        priors = Priors()
        own, shared, noise = (float(dice.choice(sizes)) for sizes in (priors.own[:5], priors.shared, priors.noise))
        features = features_of(space)
        effects = {name: dice.normal(0, shared) for key in sorted(features) for name in features[key]}
        scale = dice.normal(1, 0.1)
        true_ns = {
            key: one.estimate * max(0.2, scale + dice.normal(0, own) + sum(effects[name] for name in features[key]))
            for key, one in entries.items()
        }
        fixed_ns = sum(true_ns[o.key] * n for o, n in space.fixed if not o.is_nothing)
        return cls(space, entries, true_ns, dice.normal(0, 0.02) * fixed_ns, noise, 0.003, dice)

    def measured(self, archs: list[Arch]) -> list[Observed]:
        found = []
        for arch in archs:
            parts = {o.key: n for o, n in self.space.composition(arch).items() if not o.is_nothing}
            plain = sum(self.entries[key].estimate * n for key, n in parts.items())
            whole = self.intercept + sum(self.true_ns[key] * n for key, n in parts.items())
            whole += plain * self.dice.normal(0, self.noise)
            found.append(Observed(arch, parts, whole * np.exp(self.dice.normal(0, self.error)), self.error))
        return found


@pytest.mark.parametrize(("name", "runtime"), [("fbnet-32", "tflite"), ("nas-bench-201-cifar10", "onnxruntime")])
@pytest.mark.parametrize("count", [5, 20])
def test_intervals_hold_what_they_promise_over_drawn_worlds(name: str, runtime: str, count: int) -> None:
    """95 %; over 30 worlds of 15 networks that share what is learnt of a world, about 2 % is a standard error."""
    inside: list[bool] = []
    for seed in range(30):
        world = World.drawn(name, runtime, 1000 * count + seed)
        archs = list(dict.fromkeys(world.space.random(seed, 3 * count + 60)))
        known, unseen = world.measured(archs[:count]), world.measured(archs[-15:])
        found = predictions_ns(world.entries, world.space, known, [one.arch for one in unseen])
        measured = np.array([one.measured for one in unseen])
        inside += ((found[:, 1] <= measured) & (measured <= found[:, 2])).tolist()
    assert 0.90 <= np.mean(inside) <= 0.995


def test_networks_that_take_exactly_their_sums_change_nothing() -> None:
    world = World.drawn("fbnet-32", "tflite", 1)
    exact = replace(world, true_ns={k: e.estimate for k, e in world.entries.items()}, intercept=0.0, noise=0.0, error=1e-4)
    archs = list(world.space.random(2, 40))
    found = predictions_ns(exact.entries, exact.space, exact.measured(archs[:8]), archs[8:])
    sums = [
        sum(exact.entries[o.key].estimate * n for o, n in exact.space.composition(a).items() if not o.is_nothing)
        for a in archs[8:]
    ]
    assert found[:, 0] == pytest.approx(sums, rel=0.005)
    assert ((found[:, 1] < sums) & (sums < found[:, 2])).all()


def test_more_networks_say_more() -> None:
    world = World.drawn("nas-bench-201-cifar10", "onnxruntime", 3)
    archs = list(dict.fromkeys(world.space.random(4, 90)))
    known, unseen = world.measured(archs[:40]), archs[40:80]
    truth = np.array([one.measured for one in replace(world, noise=0.0, error=0.0).measured(unseen)])
    errors = [
        np.abs(predictions_ns(world.entries, world.space, known[:count], unseen)[:, 0] / truth - 1).mean() for count in (5, 40)
    ]
    assert errors[1] < 0.6 * errors[0]


def test_large_networks_do_not_bend_what_is_said_of_small_ones() -> None:
    """NAS-Bench-201's sizes range over 20 times: an intercept of a tenth of the large ones would be 47 % of the small."""
    world = World.drawn("nas-bench-201-cifar10", "onnxruntime", 5)
    slower = {key: ns * (1.05 if "k3" in key else 1.0) for key, ns in ((k, e.estimate) for k, e in world.entries.items())}
    world = replace(world, true_ns=slower, intercept=0.0, noise=0.003)
    by_size = sorted(
        dict.fromkeys(world.space.random(6, 200)),
        key=lambda arch: sum(slower[o.key] * n for o, n in world.space.composition(arch).items() if not o.is_nothing),
    )
    small = world.measured(by_size[:10])
    found = predictions_ns(world.entries, world.space, world.measured(by_size[-5:]), [one.arch for one in small])
    assert np.abs(found[:, 0] / np.array([one.measured for one in small]) - 1).mean() < 0.25


def test_a_network_that_the_others_contradict_is_named_and_moves_nothing() -> None:
    world = World.drawn("fbnet-32", "tflite", 7)
    known = world.measured(list(world.space.random(8, 20)))
    features = features_of(world.space)
    plain = calibrate(known, world.entries, features)
    odd = [*known[:-1], replace(known[-1], measured=2 * known[-1].measured)]
    robust = calibrate(odd, world.entries, features)
    assert robust.diagnostics.outliers == (19,)
    assert "calibration_outliers" in robust.diagnostics.flags
    terms = Terms.of(sorted(world.entries), world.entries, features)
    each, others = (one.line_ns(one.toward(terms))[1] for one in (plain, robust))
    assert others == pytest.approx(each, rel=0.05)


def test_what_cant_be_calibrated_is_refused() -> None:
    world = World.drawn("fbnet-32", "tflite", 9)
    known = world.measured(list(world.space.random(1, 2)))
    with pytest.raises(SpecError, match="at least one measured network"):
        calibrate([], world.entries, {})
    with pytest.raises(SpecError, match="without a latency"):
        calibrate(known, {}, {})


def test_isolated_operators_lose_the_call_that_a_network_has_once() -> None:
    floor = TableDevice(UNIT, "p", call_floor_ns={ORT.key: 3000})
    found = {"big": entry("big", 100_000.0, half=0.0196), "tiny": entry("tiny", 3100.0, half=0.0196)}
    isolated = LatencyTable.of(found.values(), manifest(devices=(floor,)))
    taken = estimates(isolated.entries, isolated.manifest)
    assert taken["big"].estimate == 97_000.0
    assert taken["big"].log_error == pytest.approx(0.01 * 100 / 97)
    assert taken["tiny"].estimate == pytest.approx(310.0)
    assert taken["tiny"].log_error == pytest.approx(0.1)
    inside = LatencyTable.of(found.values(), manifest(devices=(floor,), composition="in_network"))
    assert estimates(inside.entries, inside.manifest)["big"].estimate == 100_000.0


def of_one_world(seed: int = 11, **changes: object) -> tuple[World, Posterior, Toward]:
    """A calibration on 20 networks, and all operators of the space as it sees them; `changes` to every entry."""
    world = World.drawn("fbnet-32", "tflite", seed)
    entries = {key: replace(one, **changes) for key, one in world.entries.items()}  # type: ignore[arg-type]
    features = features_of(world.space)
    found = calibrate(world.measured(list(world.space.random(8, 20))), entries, features)
    return world, found, found.toward(Terms.of(sorted(entries), entries, features))


def widths(found: Posterior, of: Toward) -> tuple[np.ndarray, np.ndarray]:
    """Of each operator's interval, and of some networks'."""
    each = found.operators_ns(of)
    counts = np.eye(len(of.terms.keys))[:12] + 1.0
    networks = found.intervals_ns(of, counts)
    return each[:, 2] - each[:, 1], networks[:, 2] - networks[:, 1]


def test_errors_that_entries_make_together_widen_what_is_said_of_an_operator_that_no_network_held() -> None:
    unseen = Estimate(5000.0, 0.0, ())
    together = replace(unseen, common=(0.2,))
    _, found, _ = of_one_world()
    alone = found.operators_ns(found.toward(Terms.of(["new"], {"new": unseen}, {})))[0]
    common = found.operators_ns(found.toward(Terms.of(["new"], {"new": together}, {})))[0]
    assert common[2] - common[1] > 1.2 * (alone[2] - alone[1])


def test_networks_that_contradict_the_model_widen_every_interval_by_as_much() -> None:
    """The misfit is a variance: four times as much is twice as wide, but for what the sizes' mixture adds."""
    _, found, of = of_one_world()
    strained = replace(found, diagnostics=replace(found.diagnostics, misfit=4 * found.diagnostics.misfit))
    for plain, wide in zip(widths(found, of), widths(strained, of), strict=True):
        assert (wide > 1.5 * plain).all()
        assert np.median(wide / plain) == pytest.approx(2.0, rel=0.05)


def test_a_network_is_predicted_as_it_would_be_measured_with_the_error_of_measuring_it() -> None:
    world, found, of = of_one_world()
    known = [replace(one, log_error=0.1) for one in world.measured(list(world.space.random(8, 20)))]
    rough = calibrate(known, world.entries, features_of(world.space))
    middle, low, high = rough.intervals_ns(rough.toward(of.terms), np.ones((1, len(of.terms.keys))))[0]
    assert high - low > 0.8 * 2 * 1.96 * 0.1 * middle
    assert found.n == rough.n == 20


def test_an_interval_holds_its_estimate_however_narrow_it_is_asked_for() -> None:
    """A mixture's mean lies beside its median: without confidence the interval would be the median alone."""
    world, found, of = of_one_world()
    networks = list(world.space.random(40, 21))
    parts = [{operator.key: n for operator, n in world.space.composition(arch).items()} for arch in networks]
    counts = np.array([[mine.get(key, 0) for key in of.terms.keys] for mine in parts], float)
    narrow = replace(found, confidence=1e-9)
    middle, low, high = narrow.intervals_ns(narrow.toward(of.terms), counts).T
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (low < high).any()


def test_no_more_than_a_fifth_of_the_networks_is_ever_called_odd() -> None:
    """Where half of them contradict the other half, nobody can say which half it is."""
    world = World.drawn("fbnet-32", "tflite", 7)
    known = world.measured(list(world.space.random(8, 20)))
    factors = np.random.default_rng(3).uniform(1.5, 4.0, 10)
    odd = [replace(one, measured=factor * one.measured) for one, factor in zip(known[:10], factors, strict=True)]
    found = calibrate([*odd, *known[10:]], world.entries, features_of(world.space))
    assert len(found.diagnostics.outliers) <= 4


def test_a_calibration_from_outside_cannot_ask_for_a_grid_without_end() -> None:
    many = tuple(0.01 * (1 + n) for n in range(17))
    with pytest.raises(SpecError, match="more than 256 combinations"):
        Priors(own=many, shared=many)
    assert Priors(own=many[:16], shared=many[:16], noise=(0.01,)).own == many[:16]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"operators": (0, 0), "counts": (1, 2)}, "twice|more than once"),
        ({"operators": (0, 1), "counts": (1,)}, "2 operators and 1 counts"),
        ({"operators": (), "counts": ()}, "0 operators and 0 counts"),
    ],
)
def test_a_network_that_names_an_operator_twice_is_refused(changes: dict[str, object], said: str) -> None:
    found = calibration_of(
        [Observed((n,), {"a": 1, "b": 2}, 5e6 + n, 0.01) for n in range(6)], space="tiny", device=UNIT, backend=ORT.key
    )
    networks = (replace(found.networks[0], **changes), *found.networks[1:])  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=said):
        replace(found, networks=networks)
