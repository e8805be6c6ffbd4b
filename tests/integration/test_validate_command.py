"""What `lutfarm lut validate` refuses before it looks at anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lutfarm.cli import app
from lutfarm.store import open_store


def words(text: str) -> str:
    """Without the frame that errors stand in."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("count", [1, 4])
def test_networks_that_are_too_few_to_calibrate_on_are_refused_before_anything_is_measured(tmp_path: Path, count: int) -> None:
    home = tmp_path / "home"
    result = CliRunner().invoke(
        app, ["lut", "validate", "any", "--calibrate", str(count), "--home", str(home)], terminal_width=200
    )
    assert result.exit_code == 2
    assert f"{count} are too few: fewer than 5 networks correct nothing" in words(result.output)
    assert not home.exists()


def test_five_are_enough_to_look_for_the_job(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    result = CliRunner().invoke(app, ["lut", "validate", "any", "--calibrate", "5", "--home", str(tmp_path)], terminal_width=200)
    assert "no job is called 'any'" in words(result.output)
