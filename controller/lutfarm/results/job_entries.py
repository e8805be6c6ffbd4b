"""From the stored runs of a job to the entries of its table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lutfarm.canary.judge_runs import judge
from lutfarm.devices.registry import with_profiles
from lutfarm.lut.building.measured_entries import entries_of
from lutfarm.lut.schema.entry import Entry
from lutfarm.records.job import Job
from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.scheduling.policy import MeasuringPolicy, policies_of
from lutfarm.statistics import Target
from lutfarm.store.interface import RunsAndCanaries, Store, job_called
from lutfarm.submission.device_pools import share_choices
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.runtimes import is_tool
from lutfarm_jobs.spec import JobSpec, stored_job


@dataclass(frozen=True, slots=True)
class JobRuns:
    """What the entries of a job are made of; `probes` by measurement key, newest first; the rest by device."""

    job: Job
    spec: JobSpec
    plan: Sequence[Measurement]
    devices: Mapping[str, RegisteredDevice]
    policies: Mapping[str, MeasuringPolicy]
    probes: Mapping[str, Sequence[Probe]]
    runs: Iterator[Run]  # by key and time, each slice judged by what is known today of the canary of then

    @property
    def target(self) -> Target:
        """How precise entries are to be, and from how many rounds: as the job's rounds stop by."""
        sampling = self.spec.sampling
        return Target(sampling.target_relative_interval, sampling.confidence, sampling.least_rounds, sampling.rounds)

    @property
    def tools(self) -> Collection[str]:
        """Which of its runtimes are native tools."""
        return {runtime for runtime in {m.backend.runtime for m in self.plan} if is_tool(runtime)}


def runs_of(store: Store, job_id: str) -> JobRuns:
    """What is stored of a job, by its id, name or the start of its id.  Raises SpecError where there is no such job."""
    job, _ = job_called(store, job_id)
    spec, plan = stored_job(job.spec_json), store.measurements(job.id)
    devices = with_profiles(device for name in dict.fromkeys(m.device for m in plan) if (device := store.device(name)))
    policies = policies_of(spec, devices)
    probes = store.probes([m.key for m in plan])
    return JobRuns(job, spec, plan, devices, policies, probes, _judged(store, job.id, plan, policies))


def entries_to_judge(stored: JobRuns) -> tuple[tuple[Entry, ...], int] | None:
    """The entries of the job's table but for their scatter, and how many it lacks.

    None where it makes its entries of others, and they are no less.
    Raises SpecError where runs disagree.
    """
    if stored.spec.composition != "isolated" or share_choices(stored.spec):
        return None
    built = entries_of(
        stored.plan,
        stored.runs,
        probes=stored.probes,
        zeros=stored.job.zeros,
        target=stored.target,
        tools=stored.tools,
        scattered=False,
    )
    return built.entries, len(built.missing)


def judged(store: Store, job_id: str) -> Iterator[Run]:
    """The runs of a job by its id, by key and time, each slice judged by what is known of the canary today."""
    if store.job(job_id) is not None:
        yield from runs_of(store, job_id).runs


def judged_anew(store: Store, job_id: str) -> int:
    """How many runs are judged by another reference of the canary than was known when they were taken."""
    plan = store.measurements(job_id)
    verdict, planned = judge(store, plan, {}), {m.key for m in plan}
    mine = (run for run in store.runs(job_id, samples=False) if run.key in planned)
    return sum(verdict(run).canary_reference_ns != run.canary_reference_ns for run in mine)


def _judged(
    store: RunsAndCanaries, job_id: str, plan: Sequence[Measurement], policies: Mapping[str, MeasuringPolicy]
) -> Iterator[Run]:
    verdict = judge(store, plan, {device: policy.slicing.gate_ratio for device, policy in policies.items()})
    planned = {m.key for m in plan}
    return (verdict(run) for run in store.runs(job_id) if run.key in planned)
