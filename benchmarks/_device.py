"""This machine as a device, opened the way a pool opens it, and operators of a known size."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lutfarm_agents import process_identity
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Claim, Device
from lutfarm_agents.runner_agent import DeviceAgent
from lutfarm_jobs.graphs.graph import Graph, Node, Tensor
from lutfarm_jobs.graphs.padding import same_padding_2d
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.models.build_model import built_graph, canary
from lutfarm_jobs.round import Limits, Round, Slicing, Task
from lutfarm_jobs.run import Probe, Run
from lutfarm_jobs.runtimes import model_format

UNIT = "bench"


@dataclass(frozen=True, slots=True)
class Convolution:
    """A square convolution with relu on size x size, channels to channels."""

    channels: int
    size: int
    kernel: int

    @property
    def name(self) -> str:
        """For example `conv3x3-32x28x28`."""
        return f"conv{self.kernel}x{self.kernel}-{self.channels}x{self.size}x{self.size}"

    def graph(self) -> Graph:
        """As one layer."""
        graph = Graph(self.name, (1, self.channels, self.size, self.size))
        output = Tensor(0, graph.input_shape)
        padding = same_padding_2d(self.size, self.size, self.kernel, 1)
        graph.nodes.append(Node("convolution", (graph.input,), output, kernel=self.kernel, padding=padding, activation="relu"))
        graph.outputs.append(output)
        return graph


def tasks(operators: Sequence[Convolution], runtime: str, cache_dir: Path) -> tuple[list[Task], dict[str, Path]]:
    """A task for each, not probed yet, and where the model files lie by SHA-256."""
    backend = Backend(runtime)
    made: list[Task] = []
    paths: dict[str, Path] = {}
    for operator in operators:
        built = built_graph(operator.graph(), model_format(runtime), cache_dir)
        measurement = Measurement(Workload("operator", operator.name), UNIT, backend)
        made.append(Task(measurement, built.artifact, built.inputs, input_layout=built.input_layout))
        paths[built.artifact.sha256] = built.path
    return made, paths


@contextmanager
def opened(home: Path) -> Iterator[DeviceAgent]:
    """An agent of this machine that holds the device's lock; this process keeps off the measured core."""
    everywhere = os.sched_getaffinity(0)
    device = Device(UNIT, f"generic-linux-{os.uname().machine}", "local", LocalAddress())
    os.sched_setaffinity(0, everywhere - {measured_cpu(everywhere)} or everywhere)
    try:
        with closing(DeviceAgent(device, state_dir=home, cpus=frozenset(everywhere))) as agent:
            for holder in agent.prepare(Claim(UNIT, str(process_identity.me()), "benchmark", uuid.uuid4().hex, 1)):
                print(f"waiting for {holder}")
            yield agent
    finally:
        os.sched_setaffinity(0, everywhere)


def measured_cpu(cpus: frozenset[int] | set[int]) -> int:
    """The core that a round of one thread is pinned to."""
    return max(cpus)


def probed(agent: DeviceAgent, wanted: Sequence[Task], paths: Mapping[str, Path]) -> tuple[list[Task], list[Probe]]:
    """The tasks with what a probe found out."""
    by_key = {probe.key: probe for probe in agent.probe(wanted, limits=Limits(), models=paths)}
    failures = [f"{key}: {probe.failure.detail}" for key, probe in by_key.items() if probe.failure]
    if failures:
        raise SystemExit("\n".join(failures))
    probes = [by_key[task.measurement.key] for task in wanted]
    return [replace(task, iteration_ns=probe.iteration_ns) for task, probe in zip(wanted, probes, strict=True)], probes


def measured(
    agent: DeviceAgent,
    wanted: Sequence[Task],
    paths: Mapping[str, Path],
    cache_dir: Path,
    *,
    slicing: Slicing,
    index: int,
    canary_graph: Graph | None = None,
    reference_ns: int | None = None,
) -> dict[str, Run]:
    """One round: the runs by measurement key.  `canary_graph`: another canary than the farm's; `reference_ns`: its own."""
    fmt = model_format(wanted[0].measurement.backend.runtime)
    fixed = canary(fmt, cache_dir) if canary_graph is None else built_graph(canary_graph, fmt, cache_dir)
    round_ = Round(uuid.uuid4().hex, index, tuple(wanted), slicing, index, fixed.artifact, reference_ns)
    arrived = agent.measure(round_, models={**paths, fixed.artifact.sha256: fixed.path})
    return {run.key: run for run in arrived if isinstance(run, Run)}


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="lutfarm-figures-") as folder:
        yield Path(folder)
