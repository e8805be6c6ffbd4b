"""How long Ray's start and stop take, each in a fresh process, with one device opened in between."""

from __future__ import annotations

import json
import subprocess
import sys

from _table import Report, median_interval, options

LIMIT_S = 10.0
STAGES = ("import", "start", "first device", "stop")
ONCE = """
import json, os, sys, time, uuid
clock, times = time.monotonic, {}
began = clock()
from pathlib import Path
from lutfarm.agent_pool.interface import Done, Opening
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm_agents import process_identity
from lutfarm_agents.device import Device
from lutfarm_jobs.round import Lease
times["import"], began = clock() - began, clock()
cpus = frozenset({max(os.sched_getaffinity(0))})
pool = RayPool.start(state_dir=Path(sys.argv[1]), measured_cpus=cpus)
times["start"], began = clock() - began, clock()
device = Device("bench", f"generic-linux-{os.uname().machine}", "local", LocalAddress())
lease = Lease("bench", 1, str(process_identity.me()), time.time() + 600)
pool.submit(Opening("0", device, lease, uuid.uuid4().hex, "benchmark"))
while not any(isinstance(event, Done) for event in pool.events(1.0)):
    pass
times["first device"], began = clock() - began, clock()
pool.close()
times["stop"] = clock() - began
print(json.dumps(times))
"""


def main() -> None:
    """Print one row a stage."""
    chosen = options(__doc__)
    times = 3 if chosen.quick else 10
    from _device import scratch

    found: list[dict[str, float]] = []
    for _ in range(times):
        with scratch() as home:
            command = [sys.executable, "-c", ONCE, str(home)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    report = Report(f"Ray's start and stop, {times} fresh processes", ("stage", "median s", "least s", "most s"))
    for stage in STAGES:
        values = [one[stage] for one in found]
        report.rows.append((stage, *(round(v, 2) for v in (median_interval(values)[0], min(values), max(values)))))
    begun = [one["import"] + one["start"] for one in found]
    most = max(begun)
    report.rows.append(("import and start", round(median_interval(begun)[0], 2), round(min(begun), 2), round(most, 2)))
    report.notes.append(f"import and start at most {LIMIT_S:.0f} s: {'yes' if most <= LIMIT_S else 'no'}")
    report.show(chosen)


if __name__ == "__main__":
    main()
