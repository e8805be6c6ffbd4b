"""Stored runs, each slice judged by what is known today of the canary of then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from lutfarm.canary.epochs import epochs, judging
from lutfarm.canary.regate import regated
from lutfarm.records.canary_round import basis_of
from lutfarm.store.interface import CanaryStore
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Run


def judge(store: CanaryStore, plan: Iterable[Measurement], gate_ratios: Mapping[str, float]) -> Callable[[Run], Run]:
    """For runs of the plan's measurements; `gate_ratios` by device.  Reads the canaries' histories once."""
    canaries = {m.key: (m.device, *MeasurementKey.parse(m.key).canary) for m in plan}
    histories = {canary: epochs(store.canary_rounds(*canary)) for canary in set(canaries.values())}

    def judged(run: Run) -> Run:
        canary = canaries[run.key]
        known = judging(histories[canary], basis_of(run.fingerprint), run.started_s)
        return regated(run, known, gate_ratio=gate_ratios.get(canary[0], Slicing().gate_ratio))

    return judged
