"""What docs/extending.md shows is the package that tests/acceptance/test_other_packages.py installs and uses, file by file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "data" / "lutfarm-more"
DOCUMENTED = (ROOT / "docs" / "extending.md").read_text()
SOURCES = sorted(path for path in (PACKAGE / "lutfarm_more").glob("*.py") if path.name != "__init__.py")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENTED, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_file_of_the_package_is_shown_whole(source: Path) -> None:
    name = f"# lutfarm_more/{source.name}\n"
    (shown,) = [block.removeprefix(name) for block in blocks("python") if block.startswith(name)]
    assert shown == source.read_text()


def test_no_example_is_of_another_file() -> None:
    assert len(blocks("python")) == len(SOURCES) > 4


def test_its_entry_points_are_those_that_are_installed() -> None:
    project = (PACKAGE / "pyproject.toml").read_text()
    whole, *parts = blocks("toml")
    assert whole == project
    assert len(parts) == 5
    assert all(part in project for part in parts)
