"""Sweeps of whole networks on a simulated machine, through the runner's own sampling, to the entries of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from lutfarm.canary.reference import CanaryReference
from lutfarm.canary.regate import regated
from lutfarm.lut.building.measured_entries import entries_of
from lutfarm.statistics import Target
from lutfarm_agents.testing import LogNormal, Machine, ProcessOffsets, SimulatedDevice, begin_round, compose
from lutfarm_agents.testing.noise import MachineState
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Run, Slice
from lutfarm_runner.commands import WireSlicing

SLICE_PLAN = Slicing(passes=10)
PLAN = WireSlicing(**{f.name: asdict(SLICE_PLAN)[f.name] for f in fields(WireSlicing)})
NETWORKS_NS = (5.1e6, 6.6e6, 8.4e6, 10.5e6, 12.8e6, 15.2e6)
PROCESSES = 6


@dataclass(frozen=True, slots=True)
class Swept:
    """One network's entry beside what the quiet machine would have shown."""

    true_ns: float
    estimate: float
    low: float
    high: float
    flags: tuple[str, ...]

    @property
    def error(self) -> float:
        """Relative to the quiet machine's."""
        return self.estimate / self.true_ns - 1

    @property
    def covered(self) -> bool:
        """Whether the quiet latency lies in the interval."""
        return self.low <= self.true_ns <= self.high


def swept(*noise: MachineState, seed: int, slow: Mapping[int, float] | None = None) -> list[Swept]:
    """`slow`: by process, by how much it is slower throughout, which its canary does not show."""
    device = SimulatedDevice(noise=compose(LogNormal(0.008), ProcessOffsets(0.02, 0.006), *noise), seed=seed)
    machine = Machine(device)
    plan = [Measurement(Workload("network", f"n:{at}"), "u", Backend("onnxruntime")) for at in range(len(NETWORKS_NS))]
    runs: dict[str, list[Run]] = {one.key: [] for one in plan}
    for process in range(PROCESSES):
        factor, began_s = (slow or {}).get(process, 1.0), machine.now_ns / 1e9
        slices = _round(machine, factor, seed * 100 + process)
        for at, one in enumerate(plan):
            found = Run(
                f"{process}-{at}",
                one.key,
                "u",
                f"r{process}",
                process,
                "complete",
                began_s,
                machine.now_ns / 1e9,
                {"os": "1"},
                tuple(slices[at]),
                canary_reference_ns=round(device.canary_ns),
                reference_provisional=False,
            )
            known = CanaryReference(round(device.canary_ns), provisional=False)
            runs[one.key].append(regated(found, known, gate_ratio=SLICE_PLAN.gate_ratio))
    built = entries_of(plan, [one for found in runs.values() for one in found], probes={}, zeros=(), target=Target(), tools=())
    return [
        Swept(device.estimand_ns(ns, share=0.10), e.estimate or 0.0, e.low or 0.0, e.high or 0.0, e.flags)
        for e, ns in zip(built.entries, NETWORKS_NS, strict=True)
    ]


def _round(machine: Machine, factor: float, seed: int) -> list[list[Slice]]:
    played = begin_round(
        machine, [factor * ns for ns in NETWORKS_NS], PLAN, seed=seed, reference_ns=round(machine.device.canary_ns)
    )
    found: list[list[Slice]] = [[] for _ in NETWORKS_NS]
    for sample in (one for batch in played.batches() for one in batch):
        values = {name: value for name, value in vars(sample).items() if name != "id"}
        found[sample.id].append(replace(Slice(**values), samples_ns=tuple(max(1, ns) for ns in sample.samples_ns)))
    return found
