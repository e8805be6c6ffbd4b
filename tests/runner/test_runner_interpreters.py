"""The built file on every Python that it promises and that this machine has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[2] / "agents" / "lutfarm_runner"


def test_no_syntax_or_module_is_newer_than_3_9():
    checked = subprocess.run(
        [sys.executable, "-c", "import vermin; vermin.main()", "-t=3.9-", "--violations", "--no-tips", str(RUNNER)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("version", [f"3.{minor}" for minor in range(9, 15)])
def test_session_on_every_interpreter(version, interpreters, start, bench, tmp_path):
    python = interpreters[version]
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    session = start(python, greet=False)
    hello = session.receive()
    assert hello["python"].split()[1].startswith(version + ".")
    lock = {"path": str(tmp_path / "lock"), "owner": "a", "holder": "a test", "farm": "f", "token": 1}
    assert session.ask("lock", **lock) == [{"type": "done", "cancelled": False}]
    assert [event["type"] for event in session.ask("probe", **bench.probe({}, {}))] == ["probed", "probed", "done"]
    events = session.ask("round", **bench.round({}, {}, slicing={"gate_ratio": 1000.0}))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["started", "loaded", "loaded"]
    assert kinds[-2:] == ["ended", "done"]
    session.send("stop")
    assert session.process.wait(10) == 0
