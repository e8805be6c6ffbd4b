"""Is a device fit to measure?  One finding for each thing that was looked at, with what to do where it is not."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lutfarm_agents.device import Claim, Hello
from lutfarm_agents.fingerprint import fingerprint, runtime_version
from lutfarm_agents.health.findings import (
    Finding,
    HealthLimits,
    Severity,
    core_finding,
    hello_findings,
    latency_finding,
    link_findings,
)
from lutfarm_agents.interface import Agent
from lutfarm_jobs.errors import DeviceError, FarmError, LinkError, NotReady, ProtocolMismatch
from lutfarm_jobs.round import Limits, Round, Slicing, Task
from lutfarm_jobs.run import Failure, Probe, Run, ToolSummary
from lutfarm_jobs.runtimes import is_tool, packages_of
from lutfarm_profiles import DeviceProfile

PASSES = 8
SESSION = "session"  # the finding whose value is the code of the error that ended the check
NO_RUNNER = Finding(
    "runner",
    None,
    "",
    "ok",
    "not looked at: there is no Python, so agreement with the reference, the gate and quiet windows are unknown",
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the reference model said on one backend.

    `basis` is a digest of the fingerprint: a history holds only where nothing of the device's software changed.
    """

    backend: str
    basis: str
    latency_ns: int  # median of the fastest slice
    severity: Severity  # of the latency


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What one check found."""

    device: str
    checked_s: float  # Unix time
    findings: tuple[Finding, ...]
    references: tuple[Reference, ...] = ()
    boot_id: str = ""  # the hello's machine_id; empty where it did not come so far
    tools_only: bool = False  # fit for native tools, and nothing else was looked at

    @property
    def fit(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that keep it from measuring."""
        return tuple(finding for finding in self.findings if finding.severity == "fail")

    @property
    def reason(self) -> str:
        """What failed, in one line; empty where it is fit."""
        return "; ".join(f"{finding.name}: {finding.why}" for finding in self.failed)


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What a check needs: the reference model for each runtime of the device's kind, and what earlier checks found.

    `history`: earlier reports of this device, oldest first.  `models`: files on the host by SHA-256.
    """

    device: str
    claim: Claim
    tasks: tuple[Task, ...]
    models: Mapping[str, Path]
    slicing: Slicing = Slicing(passes=PASSES)
    workload_limits: Limits = Limits()
    limits: HealthLimits = HealthLimits()
    history: Sequence[HealthReport] = field(default_factory=tuple[HealthReport, ...])
    tools_only: bool = False
    profile: DeviceProfile | None = None  # None: its cores are not looked at


def check(agent: Agent, order: CheckOrder, *, waiting: Callable[[str], None]) -> HealthReport:
    """Look at a device, under its lock; `waiting` is told who else has it.

    A link or device error is a finding; anything else is raised.
    """
    findings: list[Finding] = []
    references: list[Reference] = []
    boot_id = ""
    try:
        _prepare(agent, order, waiting)
        hello = agent.hello()
        boot_id = hello.machine_id
        findings += hello_findings(hello, order.limits)
        findings += link_findings(hello.remarks)
        cores = core_finding(order.profile, hello.cpus, hello.cpus_off) if order.profile else None
        findings += [cores] if cores else []
        if order.tools_only:
            findings.append(NO_RUNNER)
        findings += _runtime_findings(hello, order.tasks)
        for task in order.tasks if cores is None or cores.severity != "fail" else ():
            if not runtime_version(hello, task.measurement.backend.runtime):
                continue
            if not agent.ready:  # the runtime before this one took the session with it
                _prepare(agent, order, waiting)
            look = _tool if is_tool(task.measurement.backend.runtime) else _reference
            for found in look(agent, hello, task, order):
                if isinstance(found, Finding):
                    findings.append(found)
                else:
                    references.append(found)
    except (LinkError, DeviceError) as error:
        findings.append(_session_finding(error))
    return HealthReport(order.device, time.time(), tuple(findings), tuple(references), boot_id, order.tools_only)


def _prepare(agent: Agent, order: CheckOrder, waiting: Callable[[str], None]) -> None:
    for holder in agent.prepare(order.claim):
        waiting(holder)


def _session_finding(error: FarmError) -> Finding:
    # A device that answers and is refused says in its words what to do: see lutfarm_jobs.errors.
    silent = "see that it is on, connected and as it was registered; then check it again"
    answers = "do what `why` says; then check it again"
    return Finding(SESSION, error.code, "", "fail", error.detail, silent if isinstance(error, LinkError) else answers)


def _runtime_findings(hello: Hello, tasks: Sequence[Task]) -> Iterator[Finding]:
    runtimes = list(dict.fromkeys(task.measurement.backend.runtime for task in tasks))
    found = {runtime: runtime_version(hello, runtime) for runtime in runtimes}
    for runtime, version in found.items():
        if version:
            yield Finding(f"runtime {runtime}", version, "", "ok", "found")
            continue
        if is_tool(runtime):
            yield Finding(
                f"runtime {runtime}",
                None,
                "",
                "warn" if any(found.values()) else "fail",
                "its file can't be read there",
                f"push the binary there and register the device again with --tool {runtime}=/path/on/the/device",
            )
            continue
        wanted = " or ".join(packages_of(runtime))
        yield Finding(
            f"runtime {runtime}",
            None,
            "",
            "warn" if any(found.values()) else "fail",
            f"{hello.python} has no {wanted}",
            f"install {wanted} there"
            + (
                ", if jobs are to use it"
                if any(found.values())
                else f"; or register a phone or board again with --bundle {runtime}"
            ),
        )


def _reference(agent: Agent, hello: Hello, task: Task, order: CheckOrder) -> Iterator[Finding | Reference]:
    """Import, correctness and latency of the reference model on one backend."""
    key = task.measurement.backend.key
    try:
        probe = next(iter(list(agent.probe([task], limits=order.workload_limits, models=order.models))), None)
    except NotReady as error:
        yield Finding(
            f"import {key}",
            None,
            "",
            "fail",
            error.detail,
            "the runtime is there and can't be imported: see what it lacks, install another version",
        )
        return
    yield Finding(f"import {key}", None, "", "ok", "the runtime can be imported")
    yield _output_finding(key, probe)
    if probe is None or probe.failure is not None:
        return
    runs = _runs(agent, task, order)
    slices = [one for run in runs if run.status == "complete" for one in run.slices]
    if not slices:
        why = next((f"{run.failure.code}: {run.failure.detail}" for run in runs if run.failure), "no slice came back")
        yield Finding(f"latency {key}", None, "ns", "fail", why, "see what ended it; run lutfarm device check again")
        return
    latency_ns = round(min(statistics.median(one.samples_ns) for one in slices))
    found = _latency(hello, task, order, latency_ns)
    yield found[0]
    yield _quiet_finding(key, quiet=sum(1 for one in slices if one.quiet), passes=order.slicing.passes)
    yield found[1]


def _tool(agent: Agent, hello: Hello, task: Task, order: CheckOrder) -> Iterator[Finding | Reference]:
    """Whether a native tool starts and measures the reference model, and its latency.  Its output nobody sees."""
    key = task.measurement.backend.key
    try:
        probe = next(iter(list(agent.probe([task], limits=order.workload_limits, models=order.models))), None)
        failure = probe.failure if probe else Failure("NotReady", "it gave no answer")
        if failure is None:
            yield Finding(f"start {key}", None, "", "ok", "the tool measures the reference model; its output can't be looked at")
            (run,) = _runs(agent, task, order)
            if run.summary is not None:
                yield from _said(key, run.summary)
                yield from _latency(hello, task, order, run.summary.estimate_ns)
                return
            failure = run.failure or Failure("NotReady", "it gave no result")
    except (NotReady, ProtocolMismatch) as error:
        failure = Failure(error.code, error.detail)
    yield Finding(
        f"start {key}",
        failure.code,
        "",
        "fail",
        failure.detail,
        "run the tool there by hand and see what it says; push another build of it and register the device again",
    )


def _said(key: str, summary: ToolSummary) -> Iterator[Finding]:
    """What a tool's own words leave open."""
    if summary.partly_delegated:
        total = "an unknown number" if summary.nodes_total is None else summary.nodes_total
        yield Finding(
            f"delegated {key}",
            summary.nodes_delegated,
            f"of {total}",
            "warn",
            "the rest of the graph ran elsewhere",
            "entries say partly_delegated; see which operators the delegate supports",
        )
    if summary.unknown_lines:
        yield Finding(
            f"said {key}",
            None,
            "",
            "warn",
            f"no known version prints: {' | '.join(summary.unknown_lines)[:500]}",
            "read it before you believe its numbers; entries say unknown_output",
        )


def _runs(agent: Agent, task: Task, order: CheckOrder) -> list[Run]:
    round_ = Round(
        id=uuid.uuid4().hex,
        index=0,
        tasks=(task,),
        slicing=order.slicing,
        seed=0,
        canary=task.artifact,
        limits=order.workload_limits,
    )
    return [item for item in agent.measure(round_, models=order.models) if isinstance(item, Run)]


def _latency(hello: Hello, task: Task, order: CheckOrder, latency_ns: int) -> tuple[Finding, Reference]:
    """Held against earlier checks with the same software."""
    key, basis = task.measurement.backend.key, _basis(hello, task)
    earlier = [
        reference.latency_ns
        for report in order.history
        for reference in report.references
        if reference.backend == key and reference.basis == basis and reference.severity != "fail"
    ]
    finding = latency_finding(key, latency_ns, earlier)
    return finding, Reference(key, basis, latency_ns, finding.severity)


def _output_finding(key: str, probe: Probe | None) -> Finding:
    name = f"output {key}"
    if probe is None:
        return Finding(name, None, "", "fail", "the probe gave no answer", "check again; then look at the device's log")
    if probe.failure is not None:
        return Finding(
            name,
            None,
            "",
            "fail",
            f"{probe.failure.code}: {probe.failure.detail}",
            "the runtime computes wrongly or not at all: install another version of it, or suspect the hardware",
        )
    return Finding(name, probe.agreement, "of the largest value", "ok", "the reference model's output is right")


def _quiet_finding(key: str, *, quiet: int, passes: int) -> Finding:
    name = f"quiet windows {key}"
    if 2 * quiet >= passes:
        return Finding(name, quiet, f"of {passes}", "ok", "the machine is quiet enough to measure")
    return Finding(
        name,
        quiet,
        f"of {passes}",
        "warn",
        "something disturbs the measured core most of the time",
        "end what else runs there; entries would be flagged contended",
    )


def _basis(hello: Hello, task: Task) -> str:
    content = json.dumps(dict(fingerprint(hello, task.measurement.backend, None)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
