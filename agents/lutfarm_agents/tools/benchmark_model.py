"""TensorFlow Lite's benchmark_model.  It prints aggregates only, so one invocation is one process-level sample.

Known forms of its output: with and without the `INFO: ` prefix, numbers with an exponent (`avg=1.24e+06`), with and
without p5, median and p95; microseconds in all of them.
"""

from __future__ import annotations

import re

from lutfarm_agents.tools.report import NUMBER, ToolReport, plain, refuse_fallback, time_ns
from lutfarm_jobs.errors import ProtocolMismatch, SpecError
from lutfarm_jobs.measurement import Backend, ToolSummary

DELEGATES = {
    "cpu": ["--use_xnnpack=false"],
    "xnnpack": ["--use_xnnpack=true"],
    "gpu": ["--use_gpu=true"],
    "nnapi": ["--use_nnapi=true"],
    "hexagon": ["--use_hexagon=true"],
    "coreml": ["--use_coreml=true"],
}
US = 1000.0


def argv(binary: str, model: str, backend: Backend, runs: int) -> list[str]:
    """The command line.  Raises SpecError for a delegate that it does not know."""
    if backend.provider not in DELEGATES:
        raise SpecError(f"tflite_benchmark_model has no delegate {backend.provider!r}; it has {', '.join(DELEGATES)}")
    return [
        binary, f"--graph={model}", f"--num_threads={backend.threads}", f"--num_runs={runs}", "--min_secs=0",
        "--max_secs=150", "--warmup_runs=1", "--warmup_min_secs=0.5", *DELEGATES[backend.provider],
    ]


def parse(text: str, backend: Backend) -> ToolReport:
    """Raises ProtocolMismatch where no result is in it, WorkloadFailed where the delegate took nothing."""
    said = plain(text)
    taken = re.findall(r"Replacing (\d{1,7}) out of (\d{1,7}) node\(s\) with delegate", said)
    if backend.provider not in ("cpu", "xnnpack"):
        replaced = sum(int(count) for count, _ in taken)
        total = max((int(count) for _, count in taken), default=0)
        refuse_fallback(backend.provider, replaced, total, "it fell back to the CPU; see what it supports, or ask for xnnpack")
    # The last line of counts is that of the timed runs; the one before is the warm-up's.
    lines = re.findall(rf"count=(\d{{1,9}})((?: (?:first|curr|min|max|avg|std|p5|median|p95)=(?:{NUMBER}))*)", said)
    if not lines:
        raise ProtocolMismatch(f"benchmark_model printed no result: {' '.join(said.split())[-300:] or 'it said nothing'}")
    count, rest = lines[-1]
    found = dict(re.findall(rf"(\w+)=({NUMBER})", rest))
    if "avg" not in found and "curr" in found:     # one run only: first and curr
        found |= {"avg": found["curr"], "min": found["curr"], "max": found["curr"]}
    missing = [name for name in ("avg", "min", "max") if name not in found]
    if missing:
        raise ProtocolMismatch(f"benchmark_model's result has no {', '.join(missing)}: {rest[:200]!r}")

    def us(name: str) -> int | None:
        return time_ns(found[name], unit_ns=US, what=name) if name in found else None

    timings = dict(re.findall(rf"(Init|First inference)(?:[^:\n]{{0,40}})?: ({NUMBER})", said))
    summary = ToolSummary(
        statistic="tool_mean",
        level_ns=us("avg") or 0,
        count=int(count),
        min_ns=us("min") or 0,
        max_ns=us("max") or 0,
        median_ns=us("median"),
        p95_ns=us("p95"),
        nodes_delegated=sum(int(count) for count, _ in taken) if taken else None,
    )
    return ToolReport(
        summary,
        load_ns=time_ns(timings["Init"], unit_ns=US, what="Init") if "Init" in timings else None,
        first_inference_ns=(
            time_ns(timings["First inference"], unit_ns=US, what="First inference") if "First inference" in timings else None
        ),
    )
