"""A validated table from the command line, beside whatever else runs: how wrong, how often outside its interval, how flagged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import _device
from _beside import Neighbours, beside
from _tables import BACKEND

from lutfarm.home import find_home
from lutfarm.results.job_table import table_of
from lutfarm.store import open_store
from lutfarm.validation import studies_of

SPACE = "fbnet-224"
HARMLESS = {"converged", "not_precise"}
POINTS = 3.0  # of error more beside neighbours, to reach


def validation(home: Path, folder: Path, neighbours: Neighbours | None, *, seed: int, quick: bool) -> Iterator[str]:
    """A quiet table, validated alone and beside neighbours on the same networks; `lutfarm` itself does both."""
    job = {"name": "fbnet", "workloads": [{"space": SPACE}], "devices": [_device.UNIT], "backends": [{"runtime": BACKEND}]}
    (folder / "fbnet.yaml").write_text(json.dumps(job))
    lutfarm(home, "run", str(folder / "fbnet.yaml"), "--executor", "local")
    shutil.copytree(home, folder / "beside")
    count = "3" if quick else "6"
    quiet = lutfarm(home, "lut", "validate", "fbnet", "--networks", count, "--executor", "local")
    with beside(neighbours, seed=seed):
        busy = lutfarm(folder / "beside", "lut", "validate", "fbnet", "--networks", count, "--executor", "local")
    figures = [found["validations"][0]["figures"]["mape"] for found in (quiet, busy)]
    points = 100 * (figures[1] - figures[0])
    flags = network_flags(folder / "beside")
    flagged = sum(bool(each - HARMLESS) for each in flags)
    met = abs(points) <= POINTS or flagged == len(flags)
    yield (
        f"validation of FBNet, quiet: MAPE {100 * figures[0]:.2f} %; beside neighbours: {100 * figures[1]:.2f} %, {flagged} of "
        f"{len(flags)} networks flagged; within {POINTS:g} points or flagged: {'yes' if met else 'no'}"
    )


def network_flags(home: Path) -> list[frozenset[str]]:
    """Of the networks that a validation measured."""
    with open_store(find_home(home).path) as store:
        found = store.job("fbnet")
        if found is None:
            raise SystemExit("the job fbnet is gone")
        study = studies_of(store, found[0].id)[-1]
        return [frozenset(entry.flags) for entry in table_of(store, study.id).entries]


def lutfarm(home: Path, *words: str) -> dict:
    """The command line; what it prints as JSON."""
    program = Path(sys.executable).with_name("lutfarm")
    done = subprocess.run([str(program), *words, "--home", str(home), "--json"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"lutfarm {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
