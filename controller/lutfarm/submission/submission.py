"""A job with what its names stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm.records.registered_device import RegisteredDevice
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.stop_rule import stop_rule
from lutfarm.scheduling.strategy import Plain, Strategy
from lutfarm.scheduling.work_sharing import Share
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Submission:
    """A job with what its names stand for."""

    spec: JobSpec
    plan: tuple[Measurement, ...]
    devices: Mapping[str, RegisteredDevice]
    policies: Mapping[str, MeasuringPolicy]
    zeros: tuple[str, ...] = ()  # keys of operators that are nothing by structure
    retry_failed: bool = False
    shares: tuple[Share, ...] = ()  # pools whose devices share the work
    strategy: Strategy = Plain()
    until_s: float | None = None  # Unix time at which it ends, done or not: what runs then is cancelled
    expected_ns: Mapping[str, float] = field(default_factory=dict[str, float])  # by key: a first guess at an iteration
    user: str = ""  # whose it is
    priority: int = 0  # higher is sooner

    @property
    def begun(self) -> JobProgress:
        """The job before its first order, whatever the store has of it."""
        return JobProgress(
            id=self.spec.id,
            plan={m.key: m for m in self.plan},
            policies=self.policies,
            rounds=self.spec.sampling.rounds,
            fresh=self.spec.fresh,
            budget_s=self.spec.sampling.device_time_budget_s,
            until_s=self.until_s,
            expected_ns=self.expected_ns,
            shares=self.shares,
            rule=stop_rule(self.spec),
        )
