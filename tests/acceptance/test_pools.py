"""Two devices of one profile, one of which says that it is another machine, share a job's work; as a user types it."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.rig.fixtures import needs_rig

PROFILE = f"generic-linux-{os.uname().machine}"
WIDTHS = (8, 16, 24, 32, 40, 48)
JOB = """\
name: {name}
workloads:
  - operators: [{operators}]
devices: [{{profile: {profile}, {how}}}]
backends: [{{runtime: onnxruntime}}]
sampling: {{rounds: 2, passes: 4}}
"""


def elsewhere(folder: Path) -> Path:
    """An interpreter that sees another boot, as on another machine."""
    (folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
    (folder / "inside").write_text(
        f'mount --bind {folder}/boot_id /proc/sys/kernel/random/boot_id && exec {sys.executable} "$@"\n'
    )
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec unshare -m sh {folder}/inside "$@"\n')
    python.chmod(0o755)
    return python


def text(name: str, how: str) -> str:
    operators = ", ".join(f"conv_H14_W14_Cin8_Cout{width}_k3_s1_g1_relu" for width in WIDTHS)
    return JOB.format(name=name, operators=operators, profile=PROFILE, how=how)


@pytest.mark.timeout(900)
def test_a_pool_shares_is_merged_where_allowed_and_refused_where_not(
    lutfarm: Callable, job_file: Callable, tmp_path: Path
) -> None:
    needs_rig()
    assert lutfarm("device", "register", "one", "--local").returncode == 0
    two = lutfarm("device", "register", "two", "--local", "--python", elsewhere(tmp_path))
    assert two.returncode == 0, two.stderr
    assert "same hardware" not in two.stderr
    job = job_file(text("shared", "replicate: share, anchors: 4, max_device_spread: 1"))
    ran = lutfarm("run", job, "--executor", "local", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["measurements"] == 2 * 4 + 2
    table_file = tmp_path / "t.json"
    exported = lutfarm("lut", "export", "shared", "--pool", PROFILE, "--out", table_file)
    assert exported.returncode == 0, exported.stderr
    table = json.loads(lutfarm("lut", "show", table_file, "--json").stdout)
    of_pool = [entry for entry in table["entries"] if entry["device"] == f"pool:{PROFILE}"]
    assert len(of_pool) == len(WIDTHS)
    assert all(entry["low"] < entry["estimate"] < entry["high"] for entry in of_pool)
    assert len(table["entries"]) == len(WIDTHS) + 2 * 4 + 2
    (facts,) = table["manifest"]["pools"]
    assert [effect["device"] for effect in facts["effects"]] == ["one", "two"]
    assert lutfarm("lut", "show", table_file, "--device", f"pool:{PROFILE}").returncode == 0

    # The same runs, under a bound that no two sittings of one machine keep to.
    path = job_file(text("strict", "replicate: share, anchors: 4, max_device_spread: 0.00001"))
    strict = lutfarm("run", path, "--executor", "local")
    assert strict.returncode == 0, strict.stderr
    refused = lutfarm("lut", "export", "strict", "--pool", PROFILE, "--out", tmp_path / "no.json")
    assert refused.returncode == 1
    assert "max_device_spread is 0.001 %" in refused.stderr
    assert "one" in refused.stderr
    assert "two" in refused.stderr
    assert not (tmp_path / "no.json").exists()
    assert lutfarm("lut", "export", "strict", "--out", tmp_path / "devices.json").returncode == 0

    # Each measures everything: what the first job measured is reused.
    assert lutfarm("run", job_file(text("each", "replicate: all")), "--executor", "local").returncode == 0
    assert lutfarm("lut", "export", "each", "--pool", PROFILE, "--out", table_file, "--device", f"pool:{PROFILE}").returncode == 0
    table = json.loads(lutfarm("lut", "show", table_file, "--json").stdout)
    # Where a busy machine left one device without a quiet slice, two are no pool of one statistic: the entry lacks, and is named.
    lacking = [key for key in table["manifest"]["missing"] if f"/pool:{PROFILE}/" in key]
    assert {entry["scope"] for entry in table["entries"]} <= {"devices"}
    assert len(table["entries"]) + len(lacking) == len(WIDTHS)


def test_one_machine_under_two_names_is_no_pool_of_two(lutfarm: Callable, job_file: Callable) -> None:
    assert lutfarm("device", "register", "one", "--local").returncode == 0
    two = lutfarm("device", "register", "two", "--local")
    assert "two is the same hardware as one" in two.stderr
    refused = lutfarm("plan", job_file(text("shared", "replicate: share, anchors: 4")))
    assert refused.returncode == 2
    assert "one and two are the same hardware under two names" in refused.stderr
    assert lutfarm("device", "retire", "two").returncode == 0
    assert lutfarm("plan", job_file(text("shared", "replicate: all"))).returncode == 0


def test_what_is_wrong_with_a_pool_is_said_before_anything_runs(lutfarm: Callable, job_file: Callable) -> None:
    assert lutfarm("device", "register", "one", "--local").returncode == 0
    for how, said in (
        ("replicate: some", "replicate"),
        ("anchors: 4", "replicate: share"),
        ("replicate: share, max_device_spread: 10 %", "max_device_spread"),
    ):
        result = lutfarm("plan", job_file(text("bad", how)))
        assert result.returncode == 2
        assert said in result.stderr
        assert "Traceback" not in result.stderr
    other = lutfarm("plan", job_file(text("bad", "replicate: all").replace(PROFILE, "raspberry-pi-9")))
    assert other.returncode == 2
    assert PROFILE in other.stderr
