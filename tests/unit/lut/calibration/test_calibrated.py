"""Calibrated tables: one prediction or many, whatever asks; what does not fit the space is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.lut_kit import ORT, TFLITE, UNIT, entry, manifest, validation

from lutfarm.lut import Calibration, LatencyTable, MissingEntry, compare
from lutfarm.lut.calibration.calibrated import composed
from lutfarm.lut.schema.calibration_record import CalibrationNetwork, Observed, calibration_of
from lutfarm.lut.schema.validation_record import Calibrated
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.spaces.base import Space

FBNET = spaces.load("fbnet-32")
NB201 = spaces.load("nas-bench-201-cifar10")
FACTOR, CALL_NS = 0.8, 3000.0


def priced(space: Space, *, without: str = "", runtime: str = "") -> LatencyTable:
    """Every operator costs what it computes; with those that a runtime has in their place, if there is one."""
    always = [operator for operator, _ in space.fixed]
    extras = space.under(runtime).extras() if runtime else space.extras()
    found = {o.key: o for o in (*space.operators(), *extras, *always) if not o.is_nothing and o.key != without}
    return LatencyTable.of([entry(key, 1000.0 + o.multiply_accumulates / 100) for key, o in found.items()], manifest())


def true_ns(table: LatencyTable, space: Space, arch: tuple[int, ...]) -> float:
    """A network takes a part of its operators' sum, and a call."""
    return FACTOR * table.predict(space, arch, uncalibrated=True).estimate + CALL_NS


def calibration(table: LatencyTable, space: Space, count: int = 12) -> Calibration:
    seen = table.computed(space)
    return calibration_of(
        [Observed(arch, composed(seen, arch), true_ns(table, space, arch), 0.002) for arch in space.random(3, count)],
        space=space.name,
        device=UNIT,
        backend=ORT.key,
    )


def calibrated(space: Space, runtime: str = "") -> LatencyTable:
    table = priced(space, runtime=runtime)
    return table.with_calibrations([calibration(table, space)])


@pytest.mark.parametrize(("space", "runtime"), [(FBNET, ""), (NB201, ""), (NB201, "onnxruntime")])
def test_a_calibrated_table_predicts_networks_as_they_are_measured(space: Space, runtime: str) -> None:
    table = calibrated(space, runtime)
    assert (table.computed(space) == space) == (not runtime)
    archs = [arch for arch in space.random(9, 10) if space.composition(arch)]
    for arch in archs:
        found, true = table.predict(space, arch), true_ns(table, space, arch)
        assert found.estimate == pytest.approx(true, rel=0.02)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= true <= found.high
        assert found.calibrated_on == 12
        assert re.fullmatch(
            r"sum of entries( choice by choice \(.*\)| of what onnxruntime computes)?, calibrated on 12 networks", found.composed
        )
        assert (" of what onnxruntime computes" in found.composed) == bool(runtime)
    rows = table.predict_many(space, np.array(archs), interval=True)
    one_by_one = [table.predict(space, arch) for arch in archs]
    assert rows == pytest.approx(np.array([(p.estimate, p.low, p.high) for p in one_by_one]))
    assert table.predict_many(space, np.array(archs)) == pytest.approx(rows[:, 0])


def test_many_rows_are_predicted_piece_by_piece_alike() -> None:
    table = calibrated(FBNET)
    archs = np.array(FBNET.random(4, 4200))
    rows = table.predict_many(FBNET, archs, interval=True)
    assert rows[:, 0] == pytest.approx(table.predict_many(FBNET, archs))
    assert (rows[:, 1] <= rows[:, 0]).all()
    assert (rows[:, 0] <= rows[:, 2]).all()
    assert rows[4150] == pytest.approx(table.predict_many(FBNET, archs[4150:4151], interval=True)[0])


def test_matrix_and_what_is_fixed_are_calibrated_too() -> None:
    table = calibrated(FBNET)
    archs = np.array(FBNET.random(1, 20))
    for uncalibrated in (False, True):
        matrix = table.matrix(FBNET, uncalibrated=uncalibrated)
        sums = matrix[np.arange(22), archs].sum(axis=1) + table.fixed_ns(FBNET, uncalibrated=uncalibrated)
        assert sums == pytest.approx(table.predict_many(FBNET, archs, uncalibrated=uncalibrated))


@pytest.mark.parametrize("space", [FBNET, NB201], ids=lambda space: space.name)
def test_the_plain_sum_is_there_when_asked_for(space: Space) -> None:
    table, plain = calibrated(space), priced(space)
    arch = space.random(9, 1)[0]
    assert table.predict(space, arch, uncalibrated=True) == plain.predict(space, arch)
    assert table.predict(space, arch) != plain.predict(space, arch)
    for interval in (False, True):
        many = table.predict_many(space, np.array([arch]), interval=interval, uncalibrated=True)
        assert many == pytest.approx(plain.predict_many(space, np.array([arch]), interval=interval))
    other = spaces.load("fbnet-224")
    assert table.calibration(other.name) is None


def test_what_lacks_an_operator_is_not_corrected_but_said() -> None:
    lacking = FBNET.layers[5].choices[2].parts[0][0].key
    plain = priced(FBNET, without=lacking)
    known = [arch for arch in FBNET.random(3, 60) if lacking not in composed(FBNET, arch)][:8]
    found = calibration_of(
        [Observed(arch, composed(FBNET, arch), true_ns(plain, FBNET, arch)) for arch in known],
        space=FBNET.name,
        device=UNIT,
        backend=ORT.key,
    )
    table = plain.with_calibrations([found])
    arch = [0] * 22
    arch[5] = 2
    partial = table.predict(FBNET, arch, allow_partial=True)
    assert (partial.missing, partial.low, partial.calibrated_on) == ((lacking,), None, 0)
    assert partial.estimate == plain.predict(FBNET, arch, allow_partial=True).estimate
    for interval in (False, True):
        with pytest.raises(MissingEntry, match=lacking):
            table.predict_many(FBNET, np.array([known[0], arch]), interval=interval)
    with pytest.raises(MissingEntry, match=lacking):
        table.matrix(FBNET)


def changed(table: LatencyTable, **changes: object) -> LatencyTable:
    """With the first network of the calibration made another."""
    (found,) = table.manifest.calibrations
    networks = (replace(found.networks[0], **changes), *found.networks[1:])  # type: ignore[arg-type]
    return table.with_calibrations([replace(found, networks=networks)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arch": (0, 1)}, r"networks\[0\] is no network of the space: .*22 layers"),
        ({"arch": (99,) * 22}, r"networks\[0\] is no network of the space"),
        ({"counts": (7,)}, "other operators than the space gives these choices: calibrate again"),
    ],
)
def test_a_network_that_is_none_of_the_space_is_refused(changes: dict[str, object], said: str) -> None:
    table = calibrated(FBNET)
    if "counts" in changes:
        changes = changes | {"operators": (0,)}
    wrong = changed(table, **changes)
    with pytest.raises(SpecError, match=said):
        wrong.predict(FBNET, (0,) * 22)
    assert wrong.predict(FBNET, (0,) * 22, uncalibrated=True).calibrated_on == 0


def test_a_calibration_on_operators_that_the_table_lacks_is_refused() -> None:
    found = calibration(priced(FBNET), FBNET)
    lacking = found.operators[0]
    table = priced(FBNET, without=lacking).with_calibrations([found])
    with pytest.raises(SpecError, match="operators without a latency"):
        table.predict(FBNET, (0,) * 22)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "phone"}, "the calibration of 'phone' .* is of no device and backend"),
        ({"basis": "analytic"}, "has nothing to do with a table's entries"),
        ({"networks": (CalibrationNetwork((-1,), (0,), (1,), 5.0),)}, "has a network that is none"),
        ({"networks": (CalibrationNetwork((), (0,), (1,), 5.0),)}, "has a network that is none"),
        ({"networks": (CalibrationNetwork((0,) * 10_001, (0,), (1,), 5.0),)}, "has a network that is none"),
    ],
)
def test_a_calibration_that_is_not_of_the_table_is_refused(changes: dict[str, object], said: str) -> None:
    table = priced(FBNET)
    found = replace(calibration(table, FBNET), **changes)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=said):
        table.with_calibrations([found])


def test_a_part_keeps_what_is_its_own_and_says_what_was_never_validated_since() -> None:
    here = priced(FBNET)
    there = [replace(e, key=e.key.replace(ORT.key, TFLITE.key), backend=TFLITE.key) for e in here.entries]
    table = LatencyTable.of([*here.entries, *there], manifest()).with_calibrations([calibration(here, FBNET)])
    assert table.select(backend=ORT.key).manifest.calibrations == table.manifest.calibrations
    assert table.select(backend=TFLITE.key).manifest.calibrations == ()
    assert table.calibration(FBNET.name) is None  # of two backends
    said = table.describe()
    assert f"{UNIT} with {ORT.key}: never validated against whole networks" in said
    assert f"{UNIT} with {ORT.key}: calibrated on 12 networks of fbnet-32, never validated since" in said
    assert f"{TFLITE.key}: calibrated" not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coverage": 1.5}, "coverage is 1.5"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"networks": ()}, "figures of 2 networks, but 0 have both numbers"),
    ],
)
def test_a_validation_that_cant_be_true_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        validation([1.0, 2.0], [1.1, 2.0], **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mape": 0.0}, "figures say mape 0|can't be true"),
        ({"bias": 0.9}, "can't be true"),
        ({"within_5_percent": 1.2}, "can't be true"),
        ({"kendall_tau": -2.0}, "can't be true"),
        ({"worst": float("inf")}, "can't be true"),
        ({"n": 3}, "figures of 3 networks, but 2 have both numbers"),
        ({"mape": 0.07, "bias": -0.07}, "figures say mape 0.07, its networks 0.0454"),
        ({"worst": 0.2}, "figures say worst 0.2, its networks 0.0909"),
        ({"kendall_tau": 0.5}, "figures say kendall_tau 0.5, its networks 1"),
        ({"spearman": None}, "figures say spearman nothing, its networks 1"),
        ({"within_5_percent": 0.0}, "figures say within_5_percent 0, its networks 0.5"),
        ({"within_10_percent": 0.5}, "figures say within_10_percent 0.5, its networks 1"),
    ],
)
def test_figures_are_those_of_the_networks(changes: dict[str, float], said: str) -> None:
    right = validation([1.0, 2.0], [1.1, 2.0])
    with pytest.raises(SpecError, match=said):
        replace(right, figures=replace(right.figures, **changes))  # type: ignore[arg-type]


def test_a_ceiling_is_checked_by_itself_for_what_cant_be_since_no_network_tells_it() -> None:
    right = validation([1.0, 2.0], [1.1, 2.0])
    assert right.ceiling is not None
    for impossible in ({"mape": 0.5}, {"within_5_percent": 1.0, "within_10_percent": 0.5}, {"n": 0}):
        with pytest.raises(SpecError, match="ceiling can't be true"):
            replace(right, ceiling=replace(right.ceiling, **impossible))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="a ceiling of 3 networks, but 2 were held"):
        replace(right, ceiling=compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]))


@pytest.mark.parametrize(("within", "predicted"), [("within_5_percent", 105.0), ("within_10_percent", 110.0)])
def test_a_network_right_on_an_edge_may_be_counted_on_either_side_of_it(within: str, predicted: float) -> None:
    """Another machine, or another order of the same sum, rounds it the other way."""
    right = validation([100.0, 100.0, 100.0, predicted], [100.0] * 4)
    for counted in (0.75, 1.0):
        changes = {"within_10_percent": 1.0, within: counted}
        assert getattr(replace(right, figures=replace(right.figures, **changes)).figures, within) == counted
    with pytest.raises(SpecError, match=r"figures say within_5_percent 0\.5, its networks 0\.75"):
        replace(right, figures=replace(right.figures, within_5_percent=0.5))  # of three that lie on no edge
    beside = validation([100.0, 100.0, 100.0, predicted + 1.0], [100.0] * 4)
    assert getattr(beside.figures, within) == 0.75
    with pytest.raises(SpecError, match=f"figures say {within} 1, its networks 0.75"):
        replace(beside, figures=replace(beside.figures, **{"within_10_percent": 1.0, within: 1.0}))


def test_figures_are_those_of_the_networks_after_calibration_too() -> None:
    right = validation([1.0, 2.0], [1.1, 2.0], coverage=1.0)
    networks = tuple(
        replace(n, calibrated=n.measured, calibrated_low=n.measured, calibrated_high=n.measured) for n in right.networks
    )
    perfect = Calibrated(5, compare([1.1, 2.0], [1.1, 2.0]), 1.0)
    found = replace(right, networks=networks, calibrated=perfect)
    for calibrated, said in (
        (replace(perfect, figures=right.figures), r"calibrated\.figures say mape 0.0454545, its networks 0"),
        (replace(perfect, coverage=0.5), r"calibrated\.coverage is 0.5, of its networks 1"),
        (replace(perfect, networks=0), "calibrated on 0 networks"),
        (None, "2 networks have calibrated predictions, but there are no figures of them"),
    ):
        with pytest.raises(SpecError, match=said):
            replace(found, calibrated=calibrated)
    with pytest.raises(SpecError, match="a ceiling of 3 networks, but 2 were held"):
        replace(found, ceiling=compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]))
    table = LatencyTable.of([entry("a")], manifest()).with_validations([found])
    one = calibration_of([Observed((0, 1), {"a": 2}, 5e6, 0.01)], space="tiny", device=UNIT, backend=ORT.key)
    with pytest.raises(SpecError, match="calibrated on 5 networks, the table on 1"):
        table.with_calibrations([one])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measured": 0.0, "measured_low": 0.0}, "measured to take 0 ns"),
        ({"predicted_low": 5.0}, "predicted lies outside its interval"),
        ({"measured_high": 1e16}, "measured is not from 0"),
        ({"calibrated": float("nan")}, "calibrated is not from 0"),
        ({"arch": "1"}, "a network stands twice"),
        ({"arch": "a" * 100_001}, "more than 100000 characters"),
    ],
)
def test_networks_that_cant_be_are_refused(changes: dict[str, object], said: str) -> None:
    right = validation([1.0, 2.0], [1.1, 2.0])
    with pytest.raises(SpecError, match=said):
        replace(right, networks=(replace(right.networks[0], **changes), right.networks[1]))  # type: ignore[arg-type]
