"""From a step to an order: the model files are built here."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from lutfarm.agent_pool.interface import Measuring, Opening, Order, Probing
from lutfarm.canary.epochs import current, epochs
from lutfarm.canary.history import CanaryHistory
from lutfarm.canary.reference import CanaryReference
from lutfarm.execution.task_builder import TaskBuilder
from lutfarm.records.canary_round import basis_of
from lutfarm.records.job import Job
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.steps import MeasureThese, Open, Step
from lutfarm.store.interface import RunStore
from lutfarm.submission.submission import Submission
from lutfarm_agents.device import Hello
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.measurement_key import MeasurementKey
from lutfarm_jobs.round import Lease, Round, Task


@dataclass(frozen=True, slots=True)
class OrderBook:
    """What every order of a job has in common."""

    farm_id: str
    job: Job
    store: RunStore
    canaries: CanaryHistory
    task_builder: TaskBuilder
    submission: Submission
    holder: str  # readable, shown to others who wait
    preparing: Callable[[int, int], None]

    def order(self, step: Step, job: JobProgress, hello: Hello | None, lease: Lease) -> Order:
        """The order for a step; `hello`: of its device, once it is open.  Raises SpecError for a model that can't be built."""
        order_id = uuid.uuid4().hex
        submission, until_s = self.submission, self.submission.until_s
        device, policy = submission.devices[step.unit].device, submission.policies[step.unit]
        if isinstance(step, Open):
            return Opening(order_id, device, lease, self.farm_id, self.holder)
        tasks: list[Task] = []
        for done, key in enumerate(step.keys):
            if tasks and until_s is not None and time.time() >= until_s:
                break  # what is built is measured
            self.preparing(done, len(step.keys))
            probe = job.progress(key).probe if isinstance(step, MeasureThese) else None
            tasks.append(self.task_builder.task(job.plan[key], probe))
        artifacts = [one for task in tasks for one in task.artifacts]
        if not isinstance(step, MeasureThese):
            self.store.put_artifacts({task.measurement.key: task.artifact for task in tasks})
            return Probing(order_id, device, lease, tuple(tasks), policy.limits, self.task_builder.models_of(*artifacts))
        measurement = job.plan[step.keys[0]]
        backend = measurement.backend
        canary = self.task_builder.canary(backend)
        reference = self._reference(measurement, hello)
        round_ = Round(
            id=order_id,
            index=step.index,
            tasks=tuple(tasks),
            slicing=policy.slicing,
            seed=seed_of(job.id, order_id),
            canary=canary,
            # A provisional one still keeps the rounds of a sitting to one speed of the machine.
            canary_reference_ns=reference.reference_ns,
            canary_provisional=reference.provisional,
            limits=policy.limits,
            strict=policy.strict,
        )
        models = self.task_builder.models_of(canary, *artifacts)
        return Measuring(order_id, device, lease, round_, models, self.job.id, self.job.created_s)

    def _reference(self, measurement: Measurement, hello: Hello | None) -> CanaryReference:
        """What the canary of a measurement's place is held against today; none on first contact."""
        policy = self.submission.policies[measurement.device]
        if hello is None:
            return CanaryReference()
        rounds = self.canaries.rounds(measurement.device, *MeasurementKey.parse(measurement.key).canary)
        basis = basis_of(fingerprint(hello, measurement.backend, policy.slicing, policy.setting))
        return current(epochs(rounds), basis, time.time())


def seed_of(job_id: str, order_id: str) -> int:
    """A seed for the order of one round's workloads: 0 to 2^32 - 1, another one for each round."""
    return int.from_bytes(hashlib.sha256(f"{job_id}/{order_id}".encode()).digest()[:4], "big")
