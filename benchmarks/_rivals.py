"""How others measure, beside whatever is there: fresh processes of _protocols.py for one kind of workload."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("_protocols.py")
LONGEST_S = 120  # of one process


@dataclass(frozen=True, slots=True)
class Rivals:
    """Model files by workload, and the cores that a process gets, a thread for each."""

    paths: Mapping[str, Path]
    cpus: Sequence[int]
    order: random.Random

    def means_ns(self, protocol: str, **more: object) -> tuple[dict[str, float], float]:
        """Each workload's mean by a protocol in one process, and how many seconds that took."""
        began_s = time.monotonic()
        found = self._ask(protocol, **more)
        return {name: one["mean"] for name, one in zip(self.paths, found, strict=True)}, time.monotonic() - began_s

    def slices_ns(self, seconds: float) -> dict[str, list[float]]:
        """The medians of short shuffled slices that no gate chose; `seconds` with the start of the process."""
        found = self._ask("slices", until_s=time.monotonic() + seconds)
        return dict(zip(self.paths, found, strict=True))

    def _ask(self, protocol: str, **more: object) -> list:
        request = {
            "protocol": protocol,
            "cpus": list(self.cpus),
            "seed": self.order.randrange(2**32),
            "models": [str(path) for path in self.paths.values()],
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{SCRIPT.name} failed: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)
