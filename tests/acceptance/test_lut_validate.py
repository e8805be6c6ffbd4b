"""`lutfarm lut validate`: networks that the table has never seen, measured, broken off, gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CHOICES = "".join(
    f"      - {{name: {name}, operator: conv_H16_W16_Cin8_Cout8_k{kernel}_s1_g1_relu}}\n"
    for name, kernel in (("a", 1), ("b", 3), ("c", 5))
)
SPACE = (
    "name: tiny\nhead: [conv_H16_W16_Cin3_Cout8_k3_s1_g1_relu]\nlayers:\n"
    + "".join(f"  - name: l{number}\n    choices:\n{CHOICES}" for number in range(3))
    + "tail: [gap_H16_W16_C8, fc_H1_W1_Cin8_Cout10_none]\n"
)
JOB = (
    "name: tiny\nworkloads: [{space: space.yaml}]\ndevices: [desk]\nbackends: [{runtime: onnxruntime}, {runtime: tflite}]\n"
    "sampling: {rounds: 3, passes: 4}\n"
)


@pytest.fixture(autouse=True)
def table(lutfarm: Callable, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "job.yaml").write_text(JOB)
    for command in (("device", "register", "desk", "--local"), ("run", "job.yaml", "--pool", "local")):
        result = lutfarm(*command)
        assert result.returncode == 0, result.stderr


def validate(lutfarm: Callable, *args: str) -> subprocess.CompletedProcess[str]:
    return lutfarm("lut", "validate", "tiny", "--pool", "local", *args)


def runs(lutfarm: Callable) -> int:
    jobs = json.loads(lutfarm("job", "list", "--json").stdout)
    return sum(job["counts"]["runs"] for job in jobs if job["name"].startswith("tiny-networks"))


def test_unseen_networks_are_measured_once_and_the_table_carries_what_they_say(lutfarm: Callable, tmp_path: Path) -> None:
    unvalidated = lutfarm("lut", "export", "tiny", "--out", "before.json")
    assert "never validated" in unvalidated.stderr
    result = validate(lutfarm, "--networks", "5", "--calibrate", "3", "--json")
    assert result.returncode == 0, result.stderr
    outcome = json.loads(result.stdout)
    assert [place["backend_key"] for place in outcome["places"]] == ["onnxruntime-cpu-t1-fp32", "tflite-cpu-t1-fp32"]
    for place in outcome["places"]:
        assert [n["role"] for n in place["networks"]] == ["validation"] * 5 + ["calibration"] * 3 + ["anchor"] * 3
        assert len({n["arch"] for n in place["networks"]}) == 11
        assert place["validation"]["n"] == place["ceiling"]["n"] == 5
        assert 0 <= place["ceiling"]["mape"] < place["validation"]["mape"]
        assert place["unusable"] == []
    had = runs(lutfarm)
    assert had == 2 * 11 * 7
    again = json.loads(validate(lutfarm, "--networks", "5", "--calibrate", "3", "--json").stdout)
    assert again == outcome
    assert runs(lutfarm) == had
    carried = lutfarm("lut", "export", "tiny", "--backend", "tflite-cpu-t1-fp32", "--out", "after.json")
    assert "validated against 5 networks on desk with tflite-cpu-t1-fp32" in carried.stderr
    shown = json.loads(lutfarm("lut", "show", "after.json", "--json").stdout)["manifest"]["validation"]
    expected = outcome["places"][1]["validation"]
    assert {name: shown[name] for name in ("n", "mape", "kendall_tau")} == {
        name: expected[name] for name in ("n", "mape", "kendall_tau")
    }


def test_killed_it_goes_on_and_measures_nothing_twice(lutfarm: Callable, tmp_path: Path) -> None:
    with subprocess.Popen(
        [Path(sys.executable).with_name("lutfarm"), "lut", "validate", "tiny", "--networks", "6", "--pool", "local"],
        env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home")}, cwd=tmp_path, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:
        end_s = time.monotonic() + 90
        while runs(lutfarm) < 9 and process.poll() is None:
            assert time.monotonic() < end_s, "no run arrived"
        process.send_signal(signal.SIGKILL)
    had = runs(lutfarm)
    assert 9 <= had < 2 * 9 * 7, "it was over before it was killed"
    result = validate(lutfarm, "--networks", "6")
    assert result.returncode == 0, result.stderr
    assert f"{had} runs of this job are stored" in result.stderr
    assert runs(lutfarm) == 2 * 9 * 7


def test_what_cant_be_validated_is_said(lutfarm: Callable) -> None:
    for args, said in (
        (("nothing",), "no job is called"),
        (("tiny", "--networks", "40"), "40 networks are wanted"),
        (("tiny", "--space", "fbnet-224"), "has no latency for"),
        (("tiny", "--space", "elsewhere.yaml"), "say with --space where it is"),
    ):
        result = lutfarm("lut", "validate", *args, "--pool", "local")
        assert result.returncode == 2
        assert said in result.stderr


@pytest.mark.parametrize(
    ("way", "runtimes"), [("sandwiched", ("onnxruntime", "tflite")), ("in_network", ("onnxruntime",))]
)
def test_tables_that_are_built_the_way_of_a_network_predict_networks(
    lutfarm: Callable, tmp_path: Path, way: str, runtimes: tuple[str, ...]
) -> None:
    backends = ", ".join(f"{{runtime: {runtime}}}" for runtime in runtimes)
    (tmp_path / "way.yaml").write_text(
        f"name: way\nworkloads: [{{space: space.yaml, composition: {way}, networks: 8}}]\ndevices: [desk]\n"
        f"backends: [{backends}]\nsampling: {{rounds: 3, passes: 8}}\n"
    )
    ran = lutfarm("run", "way.yaml", "--pool", "local")
    assert ran.returncode == 0, ran.stderr
    exported = lutfarm("lut", "export", "way", "--out", "way.json")
    assert f"composed: {way}; never validated" in exported.stderr
    shown = json.loads(lutfarm("lut", "show", "way.json", "--json").stdout)
    operators = [e for e in shown["entries"] if e["workload_key"].startswith("operator:")]
    assert len(operators) == 6 * len(runtimes)
    assert {e["statistic"] for e in operators} == {way}
    result = lutfarm("lut", "validate", "way", "--networks", "4", "--pool", "local", "--json")
    assert result.returncode == 0, result.stderr
    for place in json.loads(result.stdout)["places"]:
        # Alone, each of these operators carries a call of its own: such a table is 5 to 70 % too slow.
        assert place["validation"]["mape"] < 0.15
