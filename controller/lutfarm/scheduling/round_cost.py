"""About how long a round holds a device, and what memory it takes.  Pure."""

from __future__ import annotations

from lutfarm.scheduling.job_progress import JobProgress
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Slicing

DEFAULT_MODEL_BYTES = 8 * 1024**2
ROUND_S = 0.6  # of a round beside its workloads: Python, the runtime, the canary
CANARY_NS = 60_000  # one iteration of it, about


def model_bytes(job: JobProgress, measurement: Measurement) -> int:
    """Memory that the workload takes beside the runtime, by its probe."""
    probe = job.progress(measurement.key).probe
    return (probe.model_memory_bytes if probe else None) or DEFAULT_MODEL_BYTES


def round_seconds(job: JobProgress, measurement: Measurement, plan: Slicing) -> float:
    """About how long one round of it holds the device, on a quiet machine."""
    probe = job.progress(measurement.key).probe
    return seconds_of(iteration_of(job, measurement), plan, load_ns=probe.load_ns if probe else None)


def iteration_of(job: JobProgress, measurement: Measurement) -> float:
    """What one iteration takes in ns, by its probe; before that as a first guess."""
    probe = job.progress(measurement.key).probe
    return (probe.iteration_ns if probe else None) or job.expected_ns.get(measurement.key, 1_000_000.0)


def seconds_of(iteration_ns: float, plan: Slicing, *, load_ns: float | None = None) -> float:
    """About how long one round of a workload holds the device, by what one iteration and loading it take."""
    swept = iteration_ns > plan.long_ns  # then one iteration, after at most one: as the runner's sampling has it
    warmups = plan.warmup_again if not swept else int(iteration_ns <= max(10 * plan.long_ns, 40_000_000))
    timed_ns = iteration_ns if swept else max(iteration_ns, plan.slice_ns)
    visit_ns = timed_ns + (warmups + plan.profile) * iteration_ns + 2 * plan.canary_iterations * CANARY_NS
    return ((load_ns or 10_000_000) + max(plan.sustained_ns, plan.passes * visit_ns)) / 1e9
