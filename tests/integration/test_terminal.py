"""What commands print on a terminal of 60, 80 and 200 columns, and in a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import report_kit
from tests import store_kit as kit
from tests.terminal_kit import Screen, on_terminal
from typer.testing import CliRunner

from lutfarm.cli import app
from lutfarm.cli.commands import COMMANDS
from lutfarm.cli.terminal.shortened import GAP
from lutfarm.lut import save
from lutfarm.records.device_state import DeviceEvent
from lutfarm.records.job import Job
from lutfarm.store import open_store
from lutfarm_agents.address import LocalAddress
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
JOB_SPEC = json.dumps(
    {
        "name": "some",
        "workloads": [{"operators": ["conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu"]}],
        "devices": [UNITS[1]],
        "backends": [{"runtime": "tflite"}],
    }
)


@pytest.fixture
def home() -> Iterator[Path]:
    """With two devices and two jobs over FBNet's operators; its path is short, as people's are."""
    with tempfile.TemporaryDirectory(prefix="f") as folder:
        _fill(Path(folder) / "home")
        yield Path(folder) / "home"


def _fill(home: Path) -> None:
    with open_store(home) as store:
        for device in UNITS:
            store.put_device(Device(device, f"generic-linux-{os.uname().machine}", "local", LocalAddress()))
            store.put_hello(device, kit.HELLO, 5.0)
        store.open_job(Job("fbnet-on-both-runtimes-482ce6670c", "fbnet-on-both-runtimes", "{}", 100.0), PLAN)
        store.open_job(Job("fbnet-1b2c3d4e5f", "fbnet", "{}", 200.0), ONE_PLACE)


def screen(home: Path, columns: int, *words: str) -> Screen:
    found = on_terminal([LUTFARM, *words], columns=columns, environment={"LUTFARM_HOME": str(home)})
    assert found.code == 0, found.text
    return found


def of_operators(shown: Screen) -> list[str]:
    return [line for line in shown.lines if line.startswith(tuple({name[:4] for name in OPERATORS}))]


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
    rows = of_operators(shown)
    assert (len(rows), len(set(rows))) == (len(OPERATORS), len(OPERATORS))
    assert any(GAP in row for row in rows) is (columns < 200)


def test_a_backend_that_is_not_the_same_in_every_row_stays_in_it(home: Path) -> None:
    shown = screen(home, 80, "job", "show", "fbnet-on")
    assert shown.too_long == []
    rows = of_operators(shown)
    assert (len(rows), len(set(rows))) == (len(PLAN), len(PLAN))


def test_a_pipe_gets_a_line_a_row_and_whole_keys(home: Path) -> None:
    header, *rows = piped(home, "job", "show", "fbnet-on")
    assert header[:4] == ["workload", "device", "backend", "conditions"]
    assert [row[0] for row in rows] == [name for name in OPERATORS for _ in range(2)]
    assert {len(row) for row in rows} == {len(header)}


def test_ids_of_jobs_can_be_copied(home: Path) -> None:
    shown = screen(home, 60, "job", "list")
    assert shown.too_long == []
    assert {"fbnet-on-both-runtimes-482ce6670c", "fbnet-1b2c3d4e5f"} <= {line.split(" ")[0] for line in shown.lines}
    assert [row[0] for row in piped(home, "job", "list")] == ["job", "fbnet-1b2c3d4e5f", "fbnet-on-both-runtimes-482ce6670c"]


def test_a_plan_fits(home: Path) -> None:
    job = home.parent / "job.yaml"
    job.write_text(JOB)
    shown = screen(home, 80, "plan", str(job))
    assert shown.too_long == []
    assert "it will take" in shown.text


@pytest.fixture
def tables(home: Path) -> tuple[str, str]:
    """FBNet's operators on one runtime, and on two of which the second is slower."""
    for name, backends in (("one", (report_kit.ORT,)), ("two", (report_kit.ORT, report_kit.TFLITE))):
        entries = [
            report_kit.measured(
                operator,
                (2e4 + 37.5 * at) * (1.2 if backend == report_kit.TFLITE else 1.0),
                backend=backend,
                flags=("reference_provisional", "converged" if at % 3 else "not_precise"),
                p95=3e4 + at,
                median=2.1e4,
            )
            for backend in backends
            for at, operator in enumerate(OPERATORS)
        ]
        save(report_kit.table(*entries), home.parent / f"{name}.json")
    return str(home.parent / "one.json"), str(home.parent / "two.json")


@pytest.mark.parametrize(("columns", "backends"), [(60, 2), (80, 1), (80, 2), (200, 1)])
def test_every_entry_of_a_table_has_a_line_that_fits_and_is_no_other(
    home: Path, tables: tuple[str, str], columns: int, backends: int
) -> None:
    shown = screen(home, columns, "lut", "show", tables[backends - 1])
    assert shown.too_long == []
    parts = shown.text.split("\n\n")
    rows = [of_operators(Screen(part, 0, columns)) for part in parts]
    assert sum(map(len, rows)) == len(OPERATORS) * backends
    assert all(len(set(part)) == len(part) for part in rows)
    assert "flags in every row: reference_provisional" in shown.text


def test_the_columns_that_are_asked_for_are_shown_in_their_units(home: Path, tables: tuple[str, str]) -> None:
    asked = (
        "lut",
        "show",
        tables[0],
        "--columns",
        "workload,estimate,p50,p95",
        "--sort",
        "-estimate",
        "--where",
        "estimate>21us",
    )
    header, *rows = piped(home, *asked, "--limit", "3")
    assert header == ["workload", "estimate", "median", "p95"]
    last = len(OPERATORS) - 1
    assert rows == [
        [f"operator:{OPERATORS[at]}", str(2e4 + 37.5 * at), "21000.0", f"{3e4 + at}"] for at in (last, last - 1, last - 2)
    ]
    shown = screen(home, 80, *asked)
    assert "estimate, median, p95: in ns" in shown.text
    assert shown.too_long == []
    count = sum(2e4 + 37.5 * at > 21_000 for at in range(len(OPERATORS)))
    assert f"{count} of {len(OPERATORS)} entries" in shown.text


def test_conditions_hold_for_json_too(home: Path, tables: tuple[str, str]) -> None:
    environment = os.environ | {"LUTFARM_HOME": str(home)}
    asked = [LUTFARM, "lut", "show", tables[1], "--json", "--where", "workload~skip", "--where", "backend~tflite"]
    whole = json.loads(subprocess.run(asked, capture_output=True, text=True, env=environment, check=True).stdout)
    skips = [name for name in OPERATORS if name.startswith("skip")]
    assert [one["workload"] for one in whole["entries"]] == [f"operator:{name}" for name in skips]
    assert whole["verdict"]["entries"] == 2 * len(OPERATORS)
    part = subprocess.run([*asked, "--columns", "p95,device"], capture_output=True, text=True, env=environment, check=True)
    assert [list(one) for one in json.loads(part.stdout)["entries"]] == [["p95", "device"]] * len(skips)


def test_a_column_that_is_not_there_is_refused_with_the_one_that_was_meant(home: Path, tables: tuple[str, str]) -> None:
    words = [LUTFARM, "lut", "show", tables[0], "--columns", "workload,estimat"]
    found = on_terminal(words, columns=80, environment={"LUTFARM_HOME": str(home)})
    assert found.code == 2
    assert found.too_long == []
    assert "no column 'estimat'; did you mean estimate" in found.text


@pytest.mark.parametrize("columns", [60, 80])
def test_two_tables_side_by_side_fit(home: Path, tables: tuple[str, str], columns: int) -> None:
    words = ("lut", "diff", *tables, "--backend-b", report_kit.TFLITE, "--rows", "200")
    shown = screen(home, columns, *words)
    assert shown.too_long == []
    rows = of_operators(Screen(shown.text.partition("\nA: ")[0], 0, columns))
    assert (len(rows), len(set(rows))) == (len(OPERATORS), len(OPERATORS))
    header, *cells = piped(home, *words)
    assert {row[0] for row in cells} == set(OPERATORS)
    assert {len(row) for row in cells} == {len(header)}


def test_predictions_fit_and_name_what_is_missing_whole(home: Path, tables: tuple[str, str]) -> None:
    words = ("lut", "predict", tables[0], "--space", "fbnet-32", "--random", "3", "--allow-partial")
    shown = screen(home, 80, *words)
    missing = [name for row in piped(home, *words)[1:] for name in row[4].split(" ")]
    assert missing
    assert all(name in shown.text for name in missing)
    assert shown.too_long == []


def test_paths_that_were_written_stand_alone_for_copying(home: Path, tables: tuple[str, str]) -> None:
    out = home.parent / "a folder" / ("deep" * 20) / "r.html"
    out.parent.mkdir(parents=True)
    shown = screen(home, 60, "lut", "report", tables[0], "--out", str(out))
    assert f"'{out}'" in shown.text


WHY = (
    "the fan of the board under the window is broken, and nobody knows since when; mend it, then "
    "lutfarm device check board-under-the-window, or read /srv/lab/notes/of-the-year/about-boards/and-their-fans.txt"
)


@pytest.mark.parametrize(
    "words", [("status",), ("device", "list"), ("device", "show", UNITS[1]), ("job", "why", "some"), ("doctor",)], ids=" ".join
)
def test_what_is_said_of_devices_fits_and_its_commands_can_be_copied(home: Path, words: tuple[str, ...]) -> None:
    with open_store(home) as store:
        for event in (DeviceEvent("registered"), DeviceEvent("held", WHY)):
            store.step_device(UNITS[1], event, 6.0)
        store.open_job(Job("some-0123456789", "some", JOB_SPEC, 300.0), [replace(ONE_PLACE[0], device=UNITS[1])])
    shown = on_terminal([LUTFARM, *words], columns=80, environment={"LUTFARM_HOME": str(home)})
    assert shown.code == 0 or words == ("doctor",)
    assert shown.too_long == []
    if words != ("doctor",):
        assert "lutfarm device check board-under-the-window" in shown.text
        assert "/srv/lab/notes/of-the-year/about-boards/and-their-fans.txt" in shown.text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_says_all_of_it(name: str) -> None:
    loaded = COMMANDS[name].load(name)
    for words in ([name], *([name, inner] for inner in getattr(loaded, "commands", ()))):
        shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"])
        assert shown.exit_code == 0
        usage, *lines = shown.output.splitlines()
        assert usage.startswith("Usage: ")
        assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []
        assert "\u2502" not in shown.output


def test_what_is_wrong_with_a_command_line_is_said_without_a_frame(home: Path) -> None:
    refused = on_terminal([LUTFARM, "lut", "validate", "some", "--calibrate", "3"], columns=80)
    assert refused.code == 2
    assert "3 are too few: fewer than 5 networks correct nothing" in refused.text
    assert "\u2502" not in refused.text
