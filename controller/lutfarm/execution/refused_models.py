"""Model files that can't be used: failures as results, known before any device is asked.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lutfarm.agent_pool.interface import Opened, Probed
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Failure, Probe
from lutfarm_jobs.spaces import added_by


def refusals(measurements: Iterable[Measurement], opened: Opened, setting: str, now_s: float) -> list[Probed]:
    """For each whose file was refused: the probe that it would have failed on the device that opened."""
    return [
        Probed(
            "",
            Probe(
                key=m.key,
                device=m.device,
                probed_s=now_s,
                failure=Failure("WorkloadFailed", m.workload.refused),
                fingerprint=fingerprint(
                    opened.hello, m.backend, None, setting, inputs=m.workload.fed, space=added_by(m.workload)
                ),
            ),
        )
        for m in measurements
        if m.workload.refused and m.device == opened.unit
    ]
