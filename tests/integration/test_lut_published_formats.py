"""The YAML tables that once-for-all and ProxylessNAS read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.lut_kit import TFLITE, entry, failed, manifest, validation

from lutfarm.lut import Entry, LatencyTable, save
from lutfarm.lut.formats.published import round_deviation_ns
from lutfarm.lut.schema.calibration_record import Observed, calibration_of
from lutfarm.statistics import moderated_interval
from lutfarm_jobs import spaces
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.operators.base import Operator

FC = "fc_H1_W1_Cin8_Cout4_none"


def entries_of(name: str) -> list[Entry]:
    return [entry(o.key, 1e6 + n) for n, o in enumerate(spaces.load(name).operators()) if not o.is_nothing]


def written(found: list[Entry], path: Path, style: str) -> dict[str, dict[str, float]]:
    save(LatencyTable.of(found, manifest()), path, format=f"{style}.yaml")
    return yaml.safe_load(path.read_text())


def test_once_for_all(tmp_path: Path) -> None:
    found = written(entries_of("ofa-mbv3-w1.2-224"), tmp_path / "lut.yaml", "ofa")
    assert len(found) == 96
    block = "expanded_conv-input:56x56x32-output:28x28x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0"
    assert set(found[block]) == {"count", "mean", "std"}
    assert found[block]["count"] == 5
    assert found[block]["mean"] == pytest.approx(1.0, rel=1e-3)  # ms
    assert {key.split("-")[0] for key in found} == {"expanded_conv", "Conv", "Conv_1", "Conv_2", "AvgPool2D", "Logits"}


def test_proxylessnas(tmp_path: Path) -> None:
    found = written(entries_of("proxylessnas-224"), tmp_path / "lut.yml", "proxylessnas")
    assert len(found) == 70
    block = "expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:7-stride:1-idskip:1"
    assert set(found[block]) == {"count", "mean", "var"}
    assert {key.split("-")[0] for key in found} == {"expanded_conv", "Conv", "Conv_1", "Logits"}


@pytest.mark.parametrize("style", ["ofa", "proxylessnas"])
def test_how_the_table_held_up_stands_in_the_comment(tmp_path: Path, style: str) -> None:
    path = tmp_path / "lut.yaml"
    table = LatencyTable.of(entries_of("proxylessnas-224"), manifest())
    save(table, path, format=f"{style}.yaml")
    before = path.read_text()
    assert "\n# desk with onnxruntime-cpu-t1-fp32: never validated against whole networks\n" in before
    observed = [Observed((0,), {"a": 1}, 5e6)]
    mended = calibration_of(observed, space="a\nb: {}", device="desk", backend="onnxruntime-cpu-t1-fp32")
    found = validation([110.0, 230.0], [100.0, 200.0], space="mine\nkey: {count: 1}")
    save(table.with_validations([found]).with_calibrations([mended]), path, format=f"{style}.yaml")
    after = path.read_text()
    assert "validated against 2 networks of mine?key: {count: 1}: MAPE 12.5 %, bias +12.5 %" in after
    assert "calibrated on 1 network of a?b: {}, never validated since" in after
    assert "the calibration is not part of these figures" in after
    assert yaml.safe_load(after) == yaml.safe_load(before)


def test_expand_is_channels_in_the_one_and_a_ratio_in_the_other(tmp_path: Path) -> None:
    operators = [o for o in spaces.load("proxylessnas-224").operators() if "mbconv" in o.key.lower()]
    found = [entry(o.key) for o in operators]
    channels, ratios = (
        {key.split("expand:")[1].split("-")[0] for key in written(found, tmp_path / f"{style}.yaml", style)}
        for style in ("ofa", "proxylessnas")
    )
    assert ratios == {"1", "3", "6"}
    assert "72" in channels  # 24 in, three times as many in the middle


def blocks() -> list[Operator]:
    return [o for o in spaces.load("proxylessnas-224").operators() if "mbconv" in o.key.lower()]


def test_a_spread_is_the_moderated_one_between_rounds(tmp_path: Path) -> None:
    interval = moderated_interval([1.00e6, 1.01e6, 0.99e6], prior_spread=0.013)
    one = replace(entry(blocks()[0].key, interval.estimate), low=interval.low, high=interval.high, rounds=3)
    std_ms = interval.spread * interval.estimate / 1e6
    assert round_deviation_ns(one) / 1e6 == pytest.approx(std_ms, rel=1e-3)
    (ofa,) = written([one], tmp_path / "a.yaml", "ofa").values()
    (proxyless,) = written([one], tmp_path / "b.yaml", "proxylessnas").values()
    assert ofa["std"] == pytest.approx(std_ms, rel=1e-3)
    assert proxyless["var"] == pytest.approx(std_ms**2, rel=2e-3)
    assert round_deviation_ns(replace(one, rounds=1)) > 0


def test_what_has_no_place_is_left_out_and_counted_never_a_sentinel(tmp_path: Path) -> None:
    first, second = blocks()[:2]
    zero = replace(entry("zero"), kind="zero", estimate=0.0, low=0.0, high=0.0, statistic="")
    network = replace(entry("n"), key="k", workload="network:proxylessnas-224:0,0")
    found = [entry(first.key), failed(second.key), zero, network, entry("no_operator_key")]
    path = tmp_path / "lut.yaml"
    assert len(written(found, path, "ofa")) == 1
    assert "4 entries have no place" in path.read_text()


def test_a_table_of_two_devices_is_refused_with_both_of_them(tmp_path: Path) -> None:
    one = entry(blocks()[0].key)
    other = replace(one, key=one.key.replace("/desk/", "/lab/"), device="lab")
    with pytest.raises(SpecError, match="desk with onnxruntime-cpu-t1-fp32, lab with onnxruntime-cpu-t1-fp32"):
        written([one, other], tmp_path / "lut.yaml", "ofa")


def test_a_device_cant_write_into_the_file_by_its_name(tmp_path: Path) -> None:
    one = replace(entry(blocks()[0].key), device="desk\nevil: {mean: 0}")
    assert len(written([one], tmp_path / "lut.yaml", "ofa")) == 1


@pytest.mark.parametrize(
    ("found", "style", "said"),
    [
        ([entry(FC), entry(FC, backend=TFLITE)], "ofa", "select one of desk with onnx"),
        ([entry("a"), entry("a", backend=TFLITE)], "ofa", "none of the 2 entries .* write .json, .csv or .parquet"),
        ([], "ofa", "none of the 0 entries"),
        (entries_of("fbnet-224"), "ofa", "one key for mbconv_.* and mbconv_.*, so .* write .json, .csv or .parquet"),
        ([entry("a")], "ofa", "none of the 1 entries"),
        ([failed("a")], "proxylessnas", "none of the 1 entries"),
        ([entry("a")], "nni", r"no table format .nni.yaml., but .*, ofa.yaml, proxylessnas.yaml"),
    ],
)
def test_a_table_that_the_format_cant_hold(tmp_path: Path, found: list[Entry], style: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        save(LatencyTable.of(found, manifest()), tmp_path / "lut.yaml", format=f"{style}.yaml")
    assert not list(tmp_path.iterdir())
