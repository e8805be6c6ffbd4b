"""The locks: what lutfarm runs with, and what develops it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("requirements.lock", "requirements-dev.lock")


@dataclass(frozen=True)
class Pin:
    version: str
    where: str
    hashes: frozenset[str]


def pins(name: str) -> dict[str, Pin]:
    found: dict[str, Pin] = {}
    for block in re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text()):
        first = re.match(r"([a-z0-9.-]+)==([^\s;]+)(.*)", block)
        assert first, block[:80]
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block))
        found[first[1]] = Pin(first[2], first[3].strip(" ;\\"), hashes)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_pinned_with_hashes_and_no_index_is_named(name: str) -> None:
    found = pins(name)
    assert len(found) > 40
    assert all(pin.hashes for pin in found.values())
    assert not re.search(r"://|index-url|find-links|trusted-host", (ROOT / name).read_text())


def test_what_develops_it_is_held_to_what_it_runs_with() -> None:
    runs, develops = map(pins, NAMES)
    assert runs.items() < develops.items()


def test_running_needs_nothing_that_tests_lints_or_compares() -> None:
    assert not {"pytest", "hypothesis", "ruff", "pyright", "mutmut", "pandas", "polars", "tensorflow"} & pins(NAMES[0]).keys()
    assert {"numpy", "pyarrow", "hatchling"} <= pins(NAMES[0]).keys()
