"""`lutfarm lut validate`: networks that the table has never seen, measured, broken off, gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lutfarm.cli.terminal.output import plain
from lutfarm.lut import load
from lutfarm.statistics.estimates.flags import BUSY

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


BACKENDS = ["onnxruntime-cpu-t1-fp32", "tflite-cpu-t1-fp32"]


@pytest.fixture(autouse=True)
def table(lutfarm: Callable, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "job.yaml").write_text(JOB)
    for command in (("device", "register", "desk", "--local"), ("run", "job.yaml", "--executor", "local")):
        result = lutfarm(*command)
        assert result.returncode == 0, result.stderr


def validate(lutfarm: Callable, *args: str) -> subprocess.CompletedProcess[str]:
    return lutfarm("lut", "validate", "tiny", "--executor", "local", *args)


def runs(lutfarm: Callable) -> int:
    jobs = json.loads(lutfarm("job", "list", "--json").stdout)
    return sum(job["counts"]["runs"] for job in jobs if job["name"].startswith("tiny-networks"))


def exported(lutfarm: Callable, *args: str) -> subprocess.CompletedProcess[str]:
    result = lutfarm("lut", "export", "tiny", *args)
    assert result.returncode == 0, result.stderr
    return result


def test_unseen_networks_are_measured_once_and_the_table_carries_what_they_say(lutfarm: Callable, tmp_path: Path) -> None:
    result = validate(lutfarm, "--networks", "5", "--calibrate", "6", "--json")
    assert result.returncode == 0, result.stderr
    outcome = json.loads(result.stdout)
    assert [place["backend"] for place in outcome["validations"]] == BACKENDS
    for place in outcome["validations"]:
        assert [n["role"] for n in place["networks"]] == ["validation"] * 5 + ["calibration"] * 6 + ["anchor"] * 3
        assert len({n["arch"] for n in place["networks"]}) == 14
        assert place["figures"]["n"] == 5
        check_busy(place, [one for one in outcome["uncalibrated"] if one["backend"] == place["backend"]])
        assert place["unusable"] == []
        assert place["scope"] == "sitting"
    had = runs(lutfarm)
    assert had == 2 * 14 * 7
    said = exported(lutfarm, "--out", "all.json", "--out", "all.csv", "--out", "all.parquet").stderr
    found = {suffix: load(tmp_path / f"all.{suffix}") for suffix in ("json", "csv", "parquet")}
    for backend in BACKENDS:
        assert f"desk with {backend}: validated against 5 networks of tiny-" in said
    assert found["json"] == found["csv"] == found["parquet"]
    shown = plain(found["json"].manifest)
    fields = shown["validations"][0].keys()
    assert shown["validations"] == [{n: v for n, v in place.items() if n in fields} for place in outcome["validations"]]
    assert shown["uncalibrated"] == outcome["uncalibrated"]
    assert [(one["backend"], len(one["networks"])) for one in shown["calibrations"]] == [
        (place["backend"], quiet(place, "calibration")) for place in outcome["validations"] if place["calibrated"]
    ]
    check_predictions(lutfarm, tmp_path, outcome["validations"][1])
    check_moved(lutfarm, tmp_path, outcome, had)


def quiet(place: dict, role: str) -> int:
    """How many networks of a place a quiet machine measured."""
    return sum(n["role"] == role and BUSY.isdisjoint(n["measured_flags"]) for n in place["networks"])


def check_busy(place: dict, uncalibrated: list[dict]) -> None:
    """What a validation says of a machine that may be busy, and what it may be calibrated on."""
    assert place["busy_share"] == pytest.approx(1 - quiet(place, "validation") / 5)
    others = place["quiet_figures"]
    assert others is None if quiet(place, "validation") < 2 else others["n"] == quiet(place, "validation")
    if quiet(place, "calibration") < 5:
        assert place["calibrated"] is None
        assert "at least 5 are needed" in uncalibrated[0]["reason"]
    else:
        assert uncalibrated == []
        assert place["calibrated"]["networks"] == quiet(place, "calibration")
        assert place["calibrated"]["figures"]["n"] == 5


def check_predictions(lutfarm: Callable, tmp_path: Path, place: dict) -> None:
    """The exported table predicts as `validate` said, calibrated or not, and says which."""
    networks = [n for n in place["networks"] if n["role"] == "validation"]
    size = place["calibrated"]["networks"] if place["calibrated"] else 0
    asked = ("lut", "predict", "all.csv", "--space", "space.yaml", "--backend", BACKENDS[1], *(n["arch"] for n in networks))
    plain_names = ("predicted", "predicted_low", "predicted_high")
    for options, names, figures in (
        ((), ("calibrated", "calibrated_low", "calibrated_high"), place["calibrated"]["figures"])
        if size
        else ((), plain_names, place["figures"]),
        (("--uncalibrated",), plain_names, place["figures"]),
    ):
        found = json.loads(lutfarm(*asked, *options, "--json").stdout)
        for network, prediction in zip(networks, found, strict=True):
            bounds = [prediction[name] for name in ("estimate", "low", "high")]
            assert bounds == pytest.approx([network[name] for name in names])
            assert prediction["calibrated_on"] == (0 if options else size)
            assert prediction["validation"] == figures
    calibrated = f", calibrated on {size} networks" if size else ""
    assert f"sum of entries{calibrated}" in lutfarm(*asked).stderr
    report = lutfarm("lut", "report", "all.parquet", "--backend", BACKENDS[1], "--out", "part.html")
    assert report.returncode == 0, report.stderr
    assert (f"; calibrated on {size} networks: MAPE" if size else "; ") in report.stderr
    assert BACKENDS[0] not in report.stderr
    assert (f"calibrated on {size} others" if size else "Not calibrated for") in (tmp_path / "part.html").read_text()


def check_moved(lutfarm: Callable, tmp_path: Path, outcome: dict, had: int) -> None:
    """The outcome belongs to what the space's file said, wherever that is by now."""
    (tmp_path / "attic").mkdir()
    (tmp_path / "space.yaml").rename(tmp_path / "attic" / "moved.yaml")
    bare = json.loads(exported(lutfarm, "--uncalibrated", "--out", "bare.json", "--json").stdout)
    assert [(len(place["validated"]), place["calibrated"]) for place in bare["places"]] == [(1, []), (1, [])]
    for options in ((), ("--space", "attic/moved.yaml")):
        again = json.loads(validate(lutfarm, "--networks", "5", "--calibrate", "6", "--json", *options).stdout)
        assert again == outcome
    assert runs(lutfarm) == had


def test_killed_it_goes_on_and_measures_nothing_twice(lutfarm: Callable, tmp_path: Path) -> None:
    with subprocess.Popen(
        [Path(sys.executable).with_name("lutfarm"), "lut", "validate", "tiny", "--networks", "6", "--executor", "local"],
        env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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


def test_what_is_not_known_is_said(lutfarm: Callable) -> None:
    for args, said in (
        (("validate", "nothing"), "no job is called"),
        (("validate", "tiny", "--networks", "40"), "40 networks are wanted"),
        (("validate", "tiny", "--space", "fbnet-224"), "has no latency for"),
        (("validate", "tiny", "--space", "elsewhere.yaml"), "say with --space where it is"),
        (("export", "tiny", "--calibrated", "--out", "lut.json"), "measure some networks with lutfarm lut validate --calibrate"),
    ):
        result = lutfarm("lut", *args)
        assert result.returncode == 2
        assert said in result.stderr
    unvalidated = ["never validated against whole networks"] * 2
    for args in (
        ("export", "tiny", "--out", "lut.json"),
        ("show", "lut.json"),
        ("report", "lut.json", "--out", "lut.html"),
        ("predict", "lut.json", "--space", "space.yaml", "--random", "1", "--backend", BACKENDS[0]),
    ):
        assert re.findall("never validated against whole networks", lutfarm("lut", *args).stderr) == unvalidated, args


@pytest.mark.parametrize(
    ("way", "runtimes", "told"),
    [
        ("sandwiched", ("onnxruntime", "tflite"), {"sandwiched"}),
        ("in_network", ("onnxruntime", "tflite"), {"in_network", "solved"}),
    ],
)
def test_tables_that_are_built_the_way_of_a_network_predict_networks(
    lutfarm: Callable, tmp_path: Path, way: str, runtimes: tuple[str, ...], told: set[str]
) -> None:
    backends = ", ".join(f"{{runtime: {runtime}}}" for runtime in runtimes)
    (tmp_path / "way.yaml").write_text(
        f"name: way\nworkloads: [{{space: space.yaml, composition: {way}, networks: 12}}]\ndevices: [desk]\n"
        f"backends: [{backends}]\nsampling: {{rounds: 3, passes: 8}}\n"
    )
    ran = lutfarm("run", "way.yaml", "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    exported = lutfarm("lut", "export", "way", "--out", "way.json")
    assert f"composed: {way}\n" in exported.stderr
    assert "desk with onnxruntime-cpu-t1-fp32: never validated" in exported.stderr
    shown = json.loads(lutfarm("lut", "show", "way.json", "--json").stdout)
    operators = [e for e in shown["entries"] if e["workload"].startswith("operator:")]
    assert len(operators) == 6 * len(runtimes)
    assert {e["statistic"] for e in operators if e["kind"] == "measured"} <= told
    unknown = [e for e in operators if e["kind"] == "failed"]
    for one in unknown:  # on a busy machine, rather than a number that is wrong by factors
        assert "measured on a busy machine" in one["failure_detail"] or "to its stubs" in one["failure_detail"]
    result = lutfarm("lut", "validate", "way", "--networks", "4", "--executor", "local", "--json")
    if unknown:
        assert result.returncode in (0, 2, 4), result.stderr
        return
    assert result.returncode == 0, result.stderr
    for place in json.loads(result.stdout)["validations"]:
        # From the interval, which is a few per cent wide on a machine that has time for it, and says so where it is more.
        good = [
            max(n["predicted_low"] / n["measured"] - 1, 1 - n["predicted_high"] / n["measured"], 0.0)
            for n in place["networks"]
            if n["role"] == "validation" and BUSY.isdisjoint([*n["measured_flags"], *n["predicted_flags"]])
        ]
        # Alone, each of these operators carries a call of its own: such a table is 5 to 70 % too slow.
        assert sum(good) <= 0.15 * len(good)
