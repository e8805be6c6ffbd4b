"""The commands of docs/wire.md, made of the values that travel.  Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from lutfarm_jobs.round import Artifact, Limits, Round, Task

# A command is one line of at most 1 MiB; a probe's expected outputs can be 30 kB for each workload.
COMMAND_BYTES = 900_000
INPUT_SEED = 0  # the one that lutfarm_jobs.models.reference_output computes with

PathOf = Callable[[Artifact], str]


def workload(task: Task, position: int, place: PathOf) -> dict[str, object]:
    """W: one workload; `place` says where an artifact lies on the device."""
    return {
        "id": position,
        "path": place(task.artifact),
        "runtime": task.measurement.backend.runtime,
        "threads": task.measurement.backend.threads,
        "inputs": [asdict(shape) for shape in task.inputs],
        "fills": [{"name": feed.name, **asdict(feed.fill)} for feed in task.measurement.workload.feeds],
        "values": None if task.values is None else place(task.values),
        "input_layout": task.input_layout,
        "seed": INPUT_SEED,
        "expected": None if task.expected is None else asdict(task.expected),
        "iteration_ns": task.iteration_ns,
        "random": list(task.random),
    }


def limits(value: Limits) -> dict[str, object]:
    """L."""
    return asdict(value)


def round_(order: Round, *, cpus: Sequence[int], place: PathOf, idle: bool = True) -> dict[str, object]:
    """The fields of `round`.  All tasks are of one backend.  `idle`: the device did nothing before, so it warms up."""
    backend = order.tasks[0].measurement.backend
    return {
        "workloads": [workload(task, position, place) for position, task in enumerate(order.tasks)],
        "slicing": asdict(order.slicing if idle else replace(order.slicing, warm_up_ns=0)),
        "seed": order.seed,
        "canary": {
            "path": place(order.canary),
            "runtime": backend.runtime,
            "threads": backend.threads,
            "reference_ns": order.canary_reference_ns,
        },
        "limits": limits(order.limits),
        "cpus": list(cpus),
    }


Batch = tuple[Sequence[Task], Sequence[Mapping[str, object]]]


def probe_batches(tasks: Sequence[Task], place: PathOf) -> Iterator[Batch]:
    """Tasks with their workloads in batches that fit one command; ids start at 0 in each."""
    batch: list[Task] = []
    encoded: list[Mapping[str, object]] = []
    size_bytes = 0
    for task in tasks:
        entry = workload(task, 0, place)
        entry_bytes = len(json.dumps(entry)) + 20
        if batch and size_bytes + entry_bytes > COMMAND_BYTES:
            yield batch, encoded
            batch, encoded, size_bytes = [], [], 0
        encoded.append({**entry, "id": len(batch)})
        batch.append(task)
        size_bytes += entry_bytes
    if batch:
        yield batch, encoded
