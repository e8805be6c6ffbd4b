"""Imports go one way, and third parties are fenced: see pyproject.toml.  What is large is imported when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests import store_kit as kit

from lutfarm.cli.commands import COMMANDS
from lutfarm.cli.groups import LazyCommand, LazyCommands
from lutfarm.store import open_store
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device

ROOT = Path(__file__).parents[2]
# What measures, or keeps, or draws: no help page needs any of it.
LARGE = frozenset(
    {
        "ray",
        "onnxruntime",
        "ai_edge_litert",
        "tflite_runtime",
        "onnx",
        "matplotlib",
        "jinja2",
        "alembic",
        "sqlalchemy",
        "pandas",
        "polars",
        "scipy",
        "paramiko",
        "adb_shell",
    }
)
LEAST = LARGE | {"pyarrow", "numpy", "pydantic", "yaml", "psutil"}
GROUPS = {name: command for name, command in COMMANDS.items() if isinstance(command, LazyCommands)}
ALL = {name: command for name, command in COMMANDS.items() if isinstance(command, LazyCommand)}
ALL |= {f"{name} {inner}": command for name, group in GROUPS.items() for inner, command in group.commands.items()}
MODULES = {command.module for command in ALL.values()}
COMMAND = """
import sys
from pathlib import Path
said, *sys.argv[1:] = sys.argv[1:]
try:
    from lutfarm.cli import main
    main()
finally:
    Path(said).write_text(" ".join(sys.modules))
"""
JOB = """
name: small
workloads:
  - operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]
devices: [desk]
backends: [{runtime: onnxruntime}]
"""
Imported = Callable[..., frozenset[str]]


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    """The modules that `lutfarm WORDS` imported; it must end well."""

    def go(*words: str, **environment: str) -> frozenset[str]:
        said = tmp_path / "modules"
        own = {"LUTFARM_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, said, *words], env=os.environ | own | environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return frozenset(said.read_text().split())

    return go


@pytest.fixture
def job(tmp_path: Path) -> str:
    """A job of one operator, and a home that knows its device."""
    with open_store(tmp_path / "home") as store:
        store.put_device(Device("desk", f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
        store.put_hello("desk", kit.HELLO, time.time())
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return str(path)


def test_imports_go_one_way() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


def test_the_package_itself_imports_nothing_large() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, lutfarm; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert "lutfarm" in done.stdout.split()
    assert not LEAST & set(done.stdout.split())


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)], ids=["nothing", "--help", "--version"])
def test_one_who_looks_at_the_list_of_commands_waits_for_none_of_them(imported: Imported, words: tuple[str, ...]) -> None:
    found = imported(*words)
    assert not LEAST & found
    assert not MODULES & found


def test_a_shell_that_completes_a_command_waits_for_none_of_them(imported: Imported) -> None:
    assert not LEAST & imported(_LUTFARM_COMPLETE="complete_bash", COMP_WORDS="lutfarm de", COMP_CWORD="1")


# Typer reads arguments with it.
PYDANTIC = frozenset({"pydantic"})


@pytest.mark.parametrize("words", [(*name.split(), *more) for name in GROUPS for more in ((), ("--help",))], ids=" ".join)
def test_one_who_looks_at_the_list_of_a_group_waits_for_none_of_its_commands(imported: Imported, words: Sequence[str]) -> None:
    found = imported(*words)
    assert not (LEAST - PYDANTIC) & found
    assert not MODULES & found


@pytest.mark.parametrize("name", ["run", "plan", "lut export", "lut predict", "lut report"])
def test_the_help_of_what_is_typed_most_imports_nothing_that_it_runs_with(imported: Imported, name: str) -> None:
    found = imported(*name.split(), "--help")
    assert ALL[name].module in found
    assert not (LEAST - PYDANTIC) & found


@pytest.mark.parametrize("name", ALL)
def test_a_help_page_imports_nothing_that_measures_keeps_or_draws(imported: Imported, name: str) -> None:
    found = imported(*name.split(), "--help")
    assert ALL[name].module in found
    assert not LARGE & found


def test_a_plan_and_a_status_read_the_store_and_import_nothing_that_measures_or_draws(imported: Imported, job: str) -> None:
    for words in (("plan", job), ("status",), ("device", "list")):
        found = imported(*words)
        assert "sqlalchemy" in found  # else the next line could not fail
        assert not (LARGE - {"sqlalchemy"}) & found
