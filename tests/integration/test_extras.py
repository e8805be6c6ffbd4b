"""What lutfarm does with its base alone, and what it says where an extra is missing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests import lut_kit as kit

from lutfarm.lut import LatencyTable, save
from lutfarm_jobs.extras import EXTRAS
from lutfarm_jobs.spaces import load

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / name for name in ("controller", "agents", "device_profiles", "jobs")]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Python finds everything but one package.
COMMAND = """
import sys
gone, *sys.argv[1:] = sys.argv[1:]
class Gone:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == gone:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone)
from lutfarm.cli import main
main()
"""
SPACE = "fbnet-32"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Of every operator of a space."""
    space = load(SPACE).under("onnxruntime")
    operators = {operator.key for operator in (*space.operators(), *space.extras())}
    entries = [kit.entry(key, 1_000.0 + n) for n, key in enumerate(sorted(operators))]
    save(LatencyTable.of(entries, kit.manifest()), tmp_path / "table.json")
    return tmp_path / "table.json"


def test_what_is_said_to_bring_a_package_brings_it() -> None:
    declared: dict[str, str] = {}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        for requirement in map(Requirement, requirements):
            if requirement.name != "lutfarm":
                declared[requirement.name.replace("-", "_")] = extra
    assert declared == EXTRAS


def test_all_is_all_but_the_data_frames() -> None:
    declared: dict[str, list[str]] = PROJECT["optional-dependencies"]
    brought, left = set[str](), ["all"]
    while left:
        extra = left.pop()
        brought.add(extra)
        left += [e for r in map(Requirement, declared[extra]) if r.name == "lutfarm" for e in r.extras if e not in brought]
    assert brought == set(declared) - {"pandas", "polars"}


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("sqlalchemy", ("status",)),
        ("alembic", ("device", "register", "desk", "--local")),
        ("psutil", ("device", "register", "desk", "--local")),
        ("paramiko", ("device", "register", "board", "--ssh", "someone@127.0.0.1:1")),
        ("adb_shell", ("device", "register", "phone", "--adb", "127.0.0.1:1")),
        ("matplotlib", ("lut", "report", "TABLE", "--out", "page.html")),
        ("jinja2", ("lut", "report", "TABLE", "--out", "page.html")),
        ("prometheus_client", ("metrics", "--once")),
    ],
)
def test_a_package_that_is_not_there_is_named_with_what_to_type(
    table: Path, tmp_path: Path, package: str, words: tuple[str, ...]
) -> None:
    line = [str(table) if word == "TABLE" else word for word in words]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, package, *line],
        cwd=tmp_path,
        env=os.environ | {"LUTFARM_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.split())
    assert said.endswith(
        f"error: {package} is not installed where lutfarm is, and this needs it; pip install 'lutfarm[{EXTRAS[package]}]'"
    )
    assert "Traceback" not in said


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A Python that has lutfarm's sources and what its base needs, and nothing else."""
    folder = tmp_path / "base"
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted, names = [Requirement(text) for text in PROJECT["dependencies"]], set[str]()
    while wanted:
        requirement = wanted.pop()
        if requirement.name in names or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(requirement.name)
        distribution = importlib.metadata.distribution(requirement.name)
        wanted += map(Requirement, distribution.requires or ())
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            found = Path(str(distribution.locate_file(top)))
            if found.exists() and top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(found)
    (site / "lutfarm.pth").write_text("\n".join(map(str, SOURCES)))
    return folder / "bin" / "python"


def test_the_base_reads_tables_and_predicts_and_says_what_measuring_needs(base: Path, table: Path, tmp_path: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        line = [base, "-I", "-c", "from lutfarm.cli import main; main()", *words]
        own = {"LUTFARM_HOME": str(tmp_path / "home"), "COLUMNS": "200", "PATH": os.environ["PATH"]}
        return subprocess.run(line, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120)

    for package in EXTRAS:
        gone = subprocess.run([base, "-I", "-c", f"import {package}"], capture_output=True, text=True)
        assert "ModuleNotFoundError" in gone.stderr
    for words in (("--help",), ("run", "--help"), ("lut", "--help"), ("lut", "show", table)):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    predicted = run("lut", "predict", table, "--space", SPACE, "--random", "3")
    assert predicted.returncode == 0, predicted.stderr
    assert len(re.findall(r"\d us|\d ms", predicted.stdout)) >= 3
    code = f"import lutfarm; print(len(lutfarm.load_table({str(table)!r})))"
    read = subprocess.run([base, "-I", "-c", code], capture_output=True, text=True)
    assert int(read.stdout) > 100, read.stderr
    (tmp_path / "job.yaml").write_text("name: small\n")
    refused = run("run", "job.yaml")
    assert refused.returncode == 2
    assert "pip install 'lutfarm[farm]'" in refused.stderr
