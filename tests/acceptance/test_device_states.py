"""Looking after devices as a lab operator does: check, hold, release, retire; and why a job waits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = """\
name: small
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu, conv_H14_W14_Cin8_Cout16_k1_s1_g1_relu]
devices: [desk, bench]
backends:
  - runtime: onnxruntime
sampling: {rounds: 2, passes: 4}
"""
BARE = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def become(path: Path, interpreter: Path) -> Path:
    path.write_text(f'#!/bin/sh\nexec "{interpreter}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def bench(lutfarm: Callable, tmp_path: Path) -> Path:
    """Two devices; the interpreter of the second is this file's to change."""
    python = become(tmp_path / "python", Path(sys.executable))
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    assert lutfarm("device", "register", "bench", "--local", "--python", python).returncode == 0
    return python


ACME = """\
name: acme
description: A kind whose cores no machine has.
transport: local
runtimes: [onnxruntime]
clusters: [{name: big, cpus: [4090, 4091]}]
measured_cluster: big
lock_path: /tmp/lutfarm-device.lock
"""


def looked_at(device: str, checked: subprocess.CompletedProcess[str]) -> str:
    """What a check said of a healthy device: on a machine that others load, it may have been slower than before."""
    found = re.search(rf"{device} is (fit|not fit: latency)", checked.stderr)
    return found[1] if found else ""


def test_a_device_without_its_profiles_cores_is_named_and_the_others_are_checked(
    lutfarm: Callable, job_file: Callable, tmp_path: Path
) -> None:
    (tmp_path / "lutfarm" / "profiles").mkdir(parents=True)
    (tmp_path / "lutfarm" / "profiles" / "acme.yaml").write_text(ACME)
    own = {"XDG_CONFIG_HOME": str(tmp_path)}
    said = lutfarm("device", "register", "bench", "--local", "--profile", "acme", **own)
    assert said.returncode == 0, said.stderr
    assert "acme's cluster big is cores 4090, 4091" in said.stderr
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    ran = lutfarm("run", job_file(JOB), "--executor", "local", **own)
    assert ran.returncode == 3
    assert "bench: acme's cluster big is cores 4090, 4091, and the device has core" in ran.stderr
    checked = lutfarm("device", "check", "--all", **own)
    assert checked.returncode == 3
    assert "bench is not fit: cores: acme's cluster big is cores 4090, 4091" in checked.stderr
    assert looked_at("desk", checked)
    (tmp_path / "lutfarm" / "profiles" / "acme.yaml").unlink()
    checked = lutfarm("device", "check", "--all", **own)
    assert "bench: error: there is no device profile 'acme'" in checked.stderr
    assert checked.returncode == (2 if looked_at("desk", checked) == "fit" else 3)  # the worst of both


def states(lutfarm: Callable) -> dict[str, tuple[str, str]]:
    return {d["name"]: (d["state"], d["reason"]) for d in json.loads(lutfarm("device", "list", "--json").stdout)}


def why(lutfarm: Callable) -> dict[str, dict[str, object]]:
    return {row["device"]: row for row in json.loads(lutfarm("job", "why", "small", "--json").stdout)["devices"]}


def test_a_device_that_broke_is_quarantined_mended_checked_and_ends_its_job(
    lutfarm: Callable, job_file: Callable, bench: Path
) -> None:
    path = job_file(JOB)
    become(bench, BARE)  # no runtime of ours
    ran = lutfarm("run", path, "--executor", "local")
    assert ran.returncode == 1, ran.stderr
    assert "bench is quarantined: NotReady" in ran.stderr
    assert "lutfarm device check bench" in ran.stderr
    assert states(lutfarm)["desk"] == ("ready", "")
    assert states(lutfarm)["bench"][0] == "quarantined"
    rows = why(lutfarm)
    assert (rows["desk"]["done"], rows["desk"]["left"], rows["desk"]["waits_for"]) == (2, 0, "nothing")
    assert (rows["bench"]["state"], rows["bench"]["left"], rows["bench"]["waits_for"]) == ("quarantined", 2, "a passed check")
    assert rows["bench"]["next"] == "mend it, then lutfarm device check bench"
    shown = lutfarm("job", "why", "small")
    assert "has no onnxruntime" in shown.stdout
    unfit = lutfarm("device", "check", "bench")
    assert unfit.returncode == 3
    assert "install onnxruntime there" in unfit.stdout
    again = lutfarm("run", path, "--executor", "local")
    assert again.returncode == 1
    assert "bench is quarantined" in again.stderr
    become(bench, Path(sys.executable))
    assert lutfarm("device", "release", "bench").returncode == 0
    unheard = lutfarm("run", path, "--executor", "local")
    assert unheard.returncode == 2, unheard.stderr  # as far as anybody knows it still has none
    assert "lutfarm device check bench then sees it" in unheard.stderr
    fit = lutfarm("device", "check", "bench", "--json")
    assert fit.returncode == 0, fit.stderr
    (report,) = json.loads(fit.stdout)
    assert (report["device"], report["fit"], report["state"]) == ("bench", True, "ready")
    assert {finding["severity"] for finding in report["findings"]} <= {"ok", "warn"}
    done = lutfarm("run", path, "--executor", "local")
    assert done.returncode == 0, done.stderr
    assert all(row["left"] == 0 for row in why(lutfarm).values())


def test_hold_release_and_retire(lutfarm: Callable, job_file: Callable, bench: Path) -> None:
    path = job_file(JOB)
    assert lutfarm("device", "hold", "bench", "--reason", "new [red]fan\x1b[2J").returncode == 0
    assert states(lutfarm)["bench"] == ("maintenance", "new [red]fan?[2J")
    ran = lutfarm("run", path, "--executor", "local")
    assert ran.returncode == 1
    assert "bench is maintenance: new [red]fan?[2J; lutfarm device release bench" in ran.stderr
    assert "release bench" in str(why(lutfarm)["bench"]["next"])
    assert lutfarm("device", "release", "bench").returncode == 0
    refused = lutfarm("device", "release", "bench")
    assert refused.returncode == 2
    assert "bench is ready" in refused.stderr
    assert lutfarm("run", path, "--executor", "local").returncode == 0
    assert lutfarm("device", "retire", "bench").returncode == 0
    assert lutfarm("device", "check", "bench").returncode == 2
    assert lutfarm("run", path, "--executor", "local").returncode == 0  # nothing is left to do on it
    (checked,) = json.loads(lutfarm("device", "check", "--all", "--json").stdout)
    assert checked["device"] == "desk"
    assert lutfarm("device", "register", "bench", "--local").returncode == 0
    assert states(lutfarm)["bench"] == ("new", "")
    shown = json.loads(lutfarm("device", "show", "bench", "--json").stdout)
    assert [t["after"] for t in shown["history"]][-2:] == ["retired", "new"]


def test_a_device_gets_labels_and_is_forgotten_but_not_what_it_measured(
    lutfarm: Callable, job_file: Callable, bench: Path
) -> None:
    labels = json.loads(lutfarm("device", "label", "bench", "room=b12", "rack=3", "--json").stdout)["labels"]
    assert labels == {"room": "b12", "rack": "3"}
    labels = json.loads(lutfarm("device", "label", "bench", "room=b13", "--without", "rack", "--json").stdout)["labels"]
    assert labels == {"room": "b13"}
    assert lutfarm("run", job_file(JOB), "--executor", "local").returncode == 0
    runs = json.loads(lutfarm("job", "show", "small", "--json").stdout)["counts"]["runs"]
    assert runs > 0
    assert lutfarm("device", "remove", "bench").returncode == 0
    assert "bench" not in states(lutfarm)
    assert json.loads(lutfarm("job", "show", "small", "--json").stdout)["counts"]["runs"] == runs
    assert lutfarm("device", "register", "bench", "--local").returncode == 0
    assert json.loads(lutfarm("device", "list", "--json").stdout)[0]["labels"] == {}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("label", "nobody", "a=b"), "nobody"),
        (("label", "desk", "a"), "KEY=VALUE"),
        (("label", "desk", "--without", "room"), "it has none"),
        (("remove", "nobody"), "no device is called 'nobody'"),
        (("check", "nobody"), "no device is registered as 'nobody'"),
        (("check",), "--all"),
        (("check", "desk", "--all"), "--all"),
        (("hold", "nobody", "--reason", "x"), "nobody"),
        (("hold", "desk"), "--reason"),
        (("hold", "desk", "--reason", " "), "reason"),
        (("release", "nobody"), "nobody"),
        (("release", "desk"), "desk is new: it can't be released. What can be done: lutfarm device register desk, "),
        (("retire", "nobody"), "nobody"),
    ],
)
def test_what_can_not_be_done_is_said(lutfarm: Callable, args: tuple[str, ...], said: str) -> None:
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    result = lutfarm("device", *args)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert states(lutfarm) == {"desk": ("new", "")}


def test_a_job_that_is_not_there_has_no_why(lutfarm: Callable) -> None:
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    result = lutfarm("job", "why", "nothing")
    assert result.returncode == 2
    assert "lutfarm job list" in result.stderr


def test_a_check_does_not_wait_for_ever_without_saying_for_whom(lutfarm: Callable, bench: Path, tmp_path: Path) -> None:
    from lutfarm.store import open_store
    from lutfarm_agents import process_identity
    from lutfarm_jobs.round import Lease

    with open_store(tmp_path / "home") as store:  # a lease of this process, which lives, and lasts until the check has said so
        me = str(process_identity.me())
        lease = store.acquire("desk", owner=me, holder="bob: job other, process 1", now_s=time.time(), ttl_s=600.0)
        assert isinstance(lease, Lease)
        with subprocess.Popen(
            [Path(sys.executable).with_name("lutfarm"), "device", "check", "desk"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home")},
        ) as checking:
            assert checking.stderr is not None
            assert any("desk: waiting, it is held by bob: job other, process 1" in line for line in checking.stderr)
            store.release(lease)
            _, said = checking.communicate(timeout=200)
    assert checking.returncode == 0, said
