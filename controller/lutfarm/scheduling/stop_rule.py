"""When a job's measurements are precise enough, as its file says."""

from __future__ import annotations

from dataclasses import replace

from lutfarm.statistics.estimates.precision import LEAST_ROUNDS, StopRule
from lutfarm_jobs.job_file.measuring import SamplingPlan
from lutfarm_jobs.spec import JobSpec


def stop_rule(spec: JobSpec) -> StopRule | None:
    """None where every measurement gets all of the job's rounds.

    Sweeps do: what a process has in common is told from its networks, all of which each process should hold.  So do the sides
    of a comparison, which ends by the ratios of its pairs: see `pair_rule`.
    """
    sampling = spec.sampling
    if spec.compares is not None or sampling.stop == "rounds" or sampling.sweep or spec.composition == "in_network":
        return None
    return replace(_rule(sampling), rounds=sampling.rounds)


def pair_rule(spec: JobSpec) -> StopRule | None:
    """When the ratios of a comparison are precise enough; None where it has all of its rounds."""
    return None if spec.sampling.stop == "rounds" else _rule(spec.sampling)


def _rule(sampling: SamplingPlan) -> StopRule:
    return StopRule(sampling.target_relative_interval, sampling.confidence, sampling.least_rounds)


def finished_rounds(spec: JobSpec) -> int:
    """With how many rounds a measurement of a unit that is gone need not be begun anew on another."""
    rule = stop_rule(spec)
    return spec.sampling.rounds if rule is None else min(spec.sampling.rounds, max(LEAST_ROUNDS, rule.least_rounds))
