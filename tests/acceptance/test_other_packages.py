"""What a package outside lutfarm adds by its entry points, used as a user would: `tests/data/lutfarm-more`, installed by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "data" / "lutfarm-more"
JOB = """
name: outside
workloads:
  - {space: two-layers, networks: 2}
devices: [desk]
backends:
  - {runtime: plain_ort}
  - {runtime: onnxruntime}
sampling: {rounds: 2, passes: 4}
"""
BROKEN = """\
[lutfarm.runtimes]
plain_ort = lutfarm_broken:RUNTIME
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for PYTHONPATH with the package in it."""
    folder = tmp_path_factory.mktemp("outside")
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*words, "--target", folder, PACKAGE], check=True)
    return str(folder)


def beside(*folders: str) -> str:
    """For PYTHONPATH."""
    return os.pathsep.join((*folders, *filter(None, [os.environ.get("PYTHONPATH")])))


def a_package(folder: Path, name: str, entry_points: str) -> None:
    """Its metadata alone: what it names is missing."""
    made = folder / f"{name}-1.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(entry_points)


def test_one_of_each_of_another_package(lutfarm, job_file, installed: str, tmp_path: Path) -> None:
    def more(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return lutfarm(*args, PYTHONPATH=beside(installed))

    path, folder = job_file(JOB), tmp_path / "a device"
    there = ("--via", "folder", "--address", f"path={folder}", "--python", sys.executable)
    registered = more("device", "register", "desk", *there)
    assert registered.returncode == 0, registered.stderr
    listed = lutfarm("device", "list", "--json")
    assert listed.returncode == 0, listed.stderr  # whoever has not the package still sees the farm
    alone = lutfarm("plan", path)
    assert alone.returncode == 2
    assert "there is no runtime 'plain_ort'" in alone.stderr
    assert "entry points lutfarm.runtimes" in alone.stderr

    ran = more("run", path, "--executor", "local")
    assert ran.returncode == 0, ran.stderr
    rounds = (folder / "diary.txt").read_text().splitlines()
    assert {line.split()[1] for line in rounds} == {"plain_ort-cpu-t1-fp32", "onnxruntime-cpu-t1-fp32"}
    assert list((folder / "runner").glob("*.pyz"))
    exported = more("lut", "export", "outside", "--out", tmp_path / "t.md", "--out", tmp_path / "t.json")
    assert exported.returncode == 0, exported.stderr
    entries = json.loads((tmp_path / "t.json").read_text())["entries"]
    measured = [one for one in entries if one["kind"] == "measured"]
    assert {one["backend"] for one in measured} == {"plain_ort-cpu-t1-fp32", "onnxruntime-cpu-t1-fp32"}
    assert {one["workload"].partition(":")[0] for one in measured} == {"operator", "network"}
    assert len(measured) == 2 * (4 + 2)  # two kernels, the pooling, the classifier; and two networks
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert len(lines) == 2 + len(entries)
    assert any("network:two-layers:" in line and "plain_ort-cpu-t1-fp32" in line for line in lines)

    predicted = more(
        "lut", "predict", tmp_path / "t.json", "--space", "two-layers", "--random", "2", "--backend", measured[0]["backend"]
    )
    assert predicted.returncode == 0, predicted.stderr
    read = more("lut", "show", tmp_path / "t.md")
    assert read.returncode == 2
    assert "a table file ends in .json, .csv, .parquet" in read.stderr


def test_a_broken_package_is_named_and_only_what_needs_it_ends(lutfarm, job_file, tmp_path: Path) -> None:
    a_package(tmp_path / "broken", "lutfarm-broken", BROKEN)
    broken = str(tmp_path / "broken")
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    fine = JOB.replace("  - {runtime: plain_ort}\n", "").replace("two-layers", "fbnet-32")
    assert lutfarm("plan", job_file(fine), PYTHONPATH=beside(broken)).returncode == 0
    again = lutfarm("device", "register", "desk", "--local", PYTHONPATH=beside(broken))
    assert again.returncode == 0, again.stderr
    refused = lutfarm("plan", job_file(fine.replace("runtime: onnxruntime", "runtime: plain_ort")), PYTHONPATH=beside(broken))
    assert refused.returncode == 2
    assert "lutfarm-broken 1.0 (entry point lutfarm.runtimes: plain_ort = lutfarm_broken:RUNTIME)" in refused.stderr
    assert "No module named 'lutfarm_broken'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--via", "folder"), "path '' is not an absolute path"),
        (("--via", "folder", "--address", "path=/a", "--address", "port=1"), "an address has no field 'port'; it has path"),
        (("--via", "ssh"), "that is --ssh"),
        (("--via", "semaphore"), "there is no transport 'semaphore', but local, ssh, adb, folder"),
        (("--via", "folder", "--local"), "say how the device is reached: one of"),
    ],
)
def test_an_address_that_is_none_is_refused(lutfarm, installed: str, words: tuple[str, ...], said: str) -> None:
    refused = lutfarm("device", "register", "desk", *words, PYTHONPATH=beside(installed))
    assert refused.returncode == 2
    assert said in refused.stderr


def test_two_packages_that_add_one_name_are_both_named(lutfarm, job_file, installed: str, tmp_path: Path) -> None:
    a_package(tmp_path / "other", "lutfarm-other", BROKEN)
    assert lutfarm("device", "register", "desk", "--local").returncode == 0
    refused = lutfarm("plan", job_file(JOB), PYTHONPATH=beside(installed, str(tmp_path / "other")))
    assert refused.returncode == 2
    assert "'plain_ort' is added by" in refused.stderr
    for who in ("lutfarm-more 0.3 (", "lutfarm-other 1.0 ("):
        assert who in refused.stderr
