"""What commands print on a terminal of 60, 80 and 200 columns, and in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import store_kit as kit
from tests.terminal_kit import Screen, on_terminal

from lutfarm.cli.shortened import GAP
from lutfarm.records.job import Job
from lutfarm.store import open_store
from lutfarm_agents.device import Device
from lutfarm_jobs import spaces
from lutfarm_jobs.measurement import Backend, Measurement, Workload

LUTFARM = str(Path(sys.executable).with_name("lutfarm"))
WIDTHS = (60, 80, 200)
UNITS = ("desk", "board-under-the-window")
OPERATORS = [operator.key for operator in spaces.load("fbnet-224").operators()]
PLAN = [
    Measurement(Workload("operator", name), UNITS[0], backend)
    for name in OPERATORS
    for backend in (Backend("onnxruntime"), Backend("tflite"))
]
ONE_PLACE = [m for m in PLAN if m.backend.runtime == "tflite"]
JOB = """
name: some
workloads: [{operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]}]
devices: [desk, board-under-the-window]
backends: [{runtime: onnxruntime}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With two devices and two jobs over FBNet's operators."""
    with open_store(tmp_path / "home") as store:
        for unit in UNITS:
            store.put_device(Device(unit, f"generic-linux-{os.uname().machine}", "local", {}))
            store.put_hello(unit, kit.HELLO, 5.0)
        store.open_job(Job("fbnet-on-both-runtimes-482ce6670c", "fbnet-on-both-runtimes", "{}", 100.0), PLAN)
        store.open_job(Job("fbnet-1b2c3d4e5f", "fbnet", "{}", 200.0), ONE_PLACE)
    return tmp_path / "home"


def screen(home: Path, columns: int, *words: str) -> Screen:
    found = on_terminal([LUTFARM, *words], columns=columns, environment={"LUTFARM_HOME": str(home)})
    assert found.code == 0, found.text
    return found


def piped(home: Path, *words: str) -> list[list[str]]:
    """The cells of each line."""
    environment = os.environ | {"LUTFARM_HOME": str(home), "COLUMNS": "80", "FORCE_COLOR": "1"}
    done = subprocess.run([LUTFARM, *words], capture_output=True, text=True, env=environment, check=True)
    assert "\x1b" not in done.stdout
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("columns", WIDTHS)
def test_every_operator_of_a_job_has_a_line_that_fits_and_is_no_other(home: Path, columns: int) -> None:
    shown = screen(home, columns, "job", "show", "fbnet-1b")
    assert shown.too_long == []
    assert {"device: desk", "backend: tflite-cpu-t1-fp32", "conditions: b1-steady"} <= set(
        "\n".join(shown.lines[1:4]).replace("   ", "\n").split("\n")
    )
    rows = [line for line in shown.lines if line.startswith(tuple({name[:4] for name in OPERATORS}))]
    assert (len(rows), len(set(rows))) == (len(OPERATORS), len(OPERATORS))
    assert any(GAP in row for row in rows) is (columns < 200)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_backend_that_is_not_the_same_in_every_row_stays_in_it(home: Path, columns: int) -> None:
    shown = screen(home, columns, "job", "show", "fbnet-on")
    assert shown.too_long == []
    rows = [line for line in shown.lines if line.startswith(tuple({name[:4] for name in OPERATORS}))]
    assert (len(rows), len(set(rows))) == (len(PLAN), len(PLAN))


def test_a_pipe_gets_a_line_a_row_and_whole_keys(home: Path) -> None:
    header, *rows = piped(home, "job", "show", "fbnet-on")
    assert header[:4] == ["workload", "device", "backend", "conditions"]
    assert [row[0] for row in rows] == [name for name in OPERATORS for _ in range(2)]
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("columns", WIDTHS)
def test_ids_of_jobs_can_be_copied(home: Path, columns: int) -> None:
    shown = screen(home, columns, "job", "list")
    assert shown.too_long == []
    assert {"fbnet-on-both-runtimes-482ce6670c", "fbnet-1b2c3d4e5f"} <= {line.split(" ")[0] for line in shown.lines}
    assert [row[0] for row in piped(home, "job", "list")] == ["job", "fbnet-1b2c3d4e5f", "fbnet-on-both-runtimes-482ce6670c"]


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_plan_fits(home: Path, columns: int) -> None:
    job = home.parent / "job.yaml"
    job.write_text(JOB)
    shown = screen(home, columns, "plan", str(job))
    assert shown.too_long == []
    assert "it will take" in shown.text
