"""`lutfarm demo`: the whole path on this machine, in three minutes."""

from __future__ import annotations

import json as stdlib_json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exits
from lutfarm.cli.output import HomeOption, duration, say
from lutfarm.home import find_home
from lutfarm.store import open_store

DEVICE = "this-machine"
SPACE = "fbnet-224"
BACKEND = "onnxruntime-cpu-t1-fp32"


class Stages:
    """How long each stage took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began_s, 2)


def demo(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("demo-out"),
    minutes: Annotated[float, typer.Option(min=0.5, max=600, help="About how long it may take.")] = 3.0,
    home: HomeOption = None,
) -> None:
    """Measure FBNet's operators on this machine, predict 20 networks, measure them, show the error."""
    with exits.exits():
        stages = Stages()
        out.mkdir(parents=True, exist_ok=True)
        place = find_home(home or out / "home")
        with open_store(place.path) as store, stages.stage("total"):
            job_id = _measure(store, place, _spec(minutes), stages)
            with stages.stage("table and report"):
                _results(store, job_id, out)
        (out / "timings.json").write_text(stdlib_json.dumps(stages.seconds, indent=2) + "\n")
        say(f"took {duration(stages.seconds['total'])}; open {out / 'report.html'} in a browser")
