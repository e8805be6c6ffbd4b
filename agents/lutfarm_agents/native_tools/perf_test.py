"""ONNX Runtime's onnxruntime_perf_test.  With -v it prints every iteration in seconds: raw samples."""

from __future__ import annotations

import re
from statistics import median

from lutfarm_agents.native_tools import placements
from lutfarm_agents.native_tools.report import NUMBER, Tool, ToolReport, plain, shown, time_ns, unknown_lines
from lutfarm_jobs.errors import ProtocolMismatch, SpecError, WorkloadFailed
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.run import ToolSummary
from lutfarm_jobs.runtimes import RUNTIMES

SECOND = 1e9
KNOWN = re.compile(
    r"\S+ \S+ \[[VI]:|iteration: ?\d|[^,]{1,300},[\d.eE+-]+,\d+,[\d.]+,\d+$|Session creation time cost|First inference time cost"
    r"|Total inference |Average inference time|Number of inferences per second|Avg CPU usage|Peak working set size|Runs: ?\d"
    r"|(?:Min|Max|P\d+) Latency|Setting \w+ to |VERSION|Test will run|\[(?:V|I):"
    r"|\s*(?:Node placements|All nodes |Node\(s\) placed|Provider: \[)"
)
FELL_BACK = re.compile(r"Fallback to.{0,100}|.{0,80}provider is not (?:supported|enabled|available).{0,80}", re.IGNORECASE)


def argv(binary: str, model: str, backend: Backend, runs: int) -> list[str]:
    """The command line.  Raises SpecError for a provider that it does not know."""
    known = RUNTIMES[backend.runtime].providers
    if backend.provider not in known:
        raise SpecError(f"onnxruntime_perf_test has no provider {backend.provider!r}; it has {', '.join(known)}")
    return [binary, "-I", "-m", "times", "-r", f"{runs}", "-e", backend.provider, "-x", f"{backend.threads}", "-v", model]


def parse(text: str, backend: Backend) -> ToolReport:
    """Raises ProtocolMismatch where no result is in it, WorkloadFailed where nothing says that the asked provider ran."""
    said = plain(text)
    if backend.provider != "cpu" and (fallen := FELL_BACK.search(said)):
        raise WorkloadFailed(f"the provider {backend.provider} did not run: {fallen[0].strip()[:300]}")
    share = placements.share_of(backend.provider, said)
    times = re.findall(rf"iteration:\s*\d{{1,9}},\s*time_cost:\s*({NUMBER})", said)
    if not times:  # versions that print rows: model,seconds,peak,cpu,iteration
        times = re.findall(rf"^[^,\n]{{1,300}},({NUMBER}),\d{{1,20}},{NUMBER},\d{{1,9}}$", said, re.MULTILINE)
    if not times:
        raise ProtocolMismatch(f"onnxruntime_perf_test printed no iteration: {shown(said)}")
    samples = tuple(time_ns(each, unit_ns=SECOND, what="time_cost") for each in times)
    load = re.search(rf"Session creation time cost:\s*({NUMBER})\s*s", said)
    first = re.search(rf"First inference time cost:\s*({NUMBER})\s*ms", said)
    middle = round(median(samples))
    return ToolReport(
        ToolSummary(
            "tool_median",
            middle,
            len(samples),
            min(samples),
            max(samples),
            middle,
            nodes_delegated=share.taken if share else None,
            nodes_total=share.total if share else None,
            partly_delegated=bool(share and share.partly),
            unknown_lines=unknown_lines(said, KNOWN),
        ),
        samples,
        load_ns=time_ns(load[1], unit_ns=SECOND, what="session creation") if load else None,
        first_inference_ns=time_ns(first[1], unit_ns=1e6, what="first inference") if first else None,
    )


TOOL = Tool(argv, parse)
