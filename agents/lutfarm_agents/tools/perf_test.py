"""ONNX Runtime's onnxruntime_perf_test.  With -v it prints every iteration in seconds: raw samples."""

from __future__ import annotations

import re
from statistics import median

from lutfarm_agents.tools.report import NUMBER, ToolReport, plain, time_ns
from lutfarm_jobs.errors import ProtocolMismatch, SpecError, WorkloadFailed
from lutfarm_jobs.measurement import Backend, ToolSummary

PROVIDERS = ("cpu", "xnnpack", "nnapi", "qnn", "cuda", "tensorrt", "openvino", "dml", "acl", "armnn", "coreml")
SECOND = 1e9
FELL_BACK = re.compile(r"Fallback to.{0,100}|.{0,80}provider is not (?:supported|enabled|available).{0,80}", re.IGNORECASE)


def argv(binary: str, model: str, backend: Backend, runs: int) -> list[str]:
    """The command line.  Raises SpecError for a provider that it does not know."""
    if backend.provider not in PROVIDERS:
        raise SpecError(f"onnxruntime_perf_test has no provider {backend.provider!r}; it has {', '.join(PROVIDERS)}")
    return [binary, "-I", "-m", "times", "-r", f"{runs}", "-e", backend.provider, "-x", f"{backend.threads}",
            "-v", model]


def parse(text: str, backend: Backend) -> ToolReport:
    """Raises ProtocolMismatch where no result is in it, WorkloadFailed where the provider was not there."""
    said = plain(text)
    if backend.provider != "cpu" and (fallen := FELL_BACK.search(said)):
        raise WorkloadFailed(f"the provider {backend.provider} did not run: {fallen[0].strip()[:300]}")
    times = re.findall(rf"iteration:\s*\d{{1,9}},\s*time_cost:\s*({NUMBER})", said)
    if not times:                                  # versions that print rows: model,seconds,peak,cpu,iteration
        times = re.findall(rf"^[^,\n]{{1,300}},({NUMBER}),\d{{1,20}},{NUMBER},\d{{1,9}}$", said, re.MULTILINE)
    if not times:
        shown = " ".join(said.split())[-300:] or "it said nothing"
        raise ProtocolMismatch(f"onnxruntime_perf_test printed no iteration: {shown}")
    samples = tuple(time_ns(each, unit_ns=SECOND, what="time_cost") for each in times)
    load = re.search(rf"Session creation time cost:\s*({NUMBER})\s*s", said)
    first = re.search(rf"First inference time cost:\s*({NUMBER})\s*ms", said)
    middle = round(median(samples))
    return ToolReport(
        ToolSummary("tool_median", middle, len(samples), min(samples), max(samples), middle),
        samples,
        load_ns=time_ns(load[1], unit_ns=SECOND, what="session creation") if load else None,
        first_inference_ns=time_ns(first[1], unit_ns=1e6, what="first inference") if first else None,
    )
