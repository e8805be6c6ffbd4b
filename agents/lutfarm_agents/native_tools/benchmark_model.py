"""TensorFlow Lite's benchmark_model.  It prints aggregates only, so one invocation is one process-level sample.

Known forms of its output: with and without the `INFO: ` prefix, numbers with an exponent (`avg=1.24e+06`), with and
without p5, median and p95; microseconds in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from lutfarm_agents.native_tools import delegates
from lutfarm_agents.native_tools.report import NUMBER, Tool, ToolReport, plain, shown, time_ns, unknown_lines
from lutfarm_jobs.errors import ProtocolMismatch, SpecError, WorkloadFailed
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.run import ToolSummary

DELEGATES = {
    "cpu": ["--use_xnnpack=false"],
    "xnnpack": ["--use_xnnpack=true"],
    "gpu": ["--use_gpu=true"],
    "nnapi": ["--use_nnapi=true"],
    "hexagon": ["--use_hexagon=true"],
    "coreml": ["--use_coreml=true"],
    "qnn": ["--external_delegate_path=libQnnTFLiteDelegate.so", "--external_delegate_options=backend_type:htp"],
    "edgetpu": ["--external_delegate_path=libedgetpu.so.1"],
}
US, MS = 1e3, 1e6
ROUNDED = 1.01  # numbers are printed with a few digits
REFUSED = re.compile(
    r".{0,80}(?:acceleration|delegate)[^\n]{0,40}(?:is unsupported|isn't supported|is not supported)[^\n]{0,60}platform.{0,40}"
    r"|unrecognized commandline flag: --(?:use_|external_delegate)[^\n]{0,100}",
    re.IGNORECASE,
)
FAILED = re.compile(r"Benchmarking failed\b|Failed to (?:invoke|allocate tensors)[^\n]{0,80}")
KNOWN = re.compile(
    r"STARTING!|[#\w][\w ()/#&%.,'`-]{0,80}: ?\[[^\n]*\]$|Loaded model |Initialized session in |Running benchmark for at least "
    r"|count=\d|Inference timings in us: |Note: as the benchmark tool itself|The input model file size|={3,}"
    r"|(?:Overall )?[Pp]eak memory (?:footprint|usage)|Memory footprint delta|Initialized TensorFlow Lite runtime"
    r"|resolved reporter|[\w-]{1,40} delegate: \d+ nodes delegated"
    r"|Created TensorFlow Lite (?:[\w ]+ )?delegate for|[\w ]{1,40} delegate created\."
    r"|Going to apply \d+ delegates one after another|(?:Explicitly a|A)pplied [\w -]+ delegate, and the model graph"
    r"|Though [\w -]+ delegate is (?:explicitly )?applied|Replacing \d+ (?:out of \d+ )?node\(s\) with delegate"
    r"|Created \d+ GPU delegate kernels|Initialized Open\wL-based API|Loaded OpenCL library"
    r"|Signature name:|Model initialization:|Warmup \(|Inference \(|Throughput:|Memory Usage:|(?:Init|Overall) footprint:"
)


def argv(binary: str, model: str, backend: Backend, runs: int) -> list[str]:
    """The command line.  Raises SpecError for a delegate that it does not know."""
    if backend.provider not in DELEGATES:
        raise SpecError(f"tflite_benchmark_model has no delegate {backend.provider!r}; it has {', '.join(DELEGATES)}")
    return [
        binary,
        f"--graph={model}",
        f"--num_threads={backend.threads}",
        f"--num_runs={runs}",
        "--min_secs=0",
        "--max_secs=150",
        "--warmup_runs=1",
        "--warmup_min_secs=0.5",
        *DELEGATES[backend.provider],
    ]


def parse(text: str, backend: Backend) -> ToolReport:
    """Raises ProtocolMismatch where no result is in it, WorkloadFailed where nothing says that the asked delegate ran."""
    said = plain(text)
    if backend.provider != "cpu" and (refused := REFUSED.search(said)):
        raise WorkloadFailed(f"the delegate {backend.provider} did not run: {refused[0].strip()[:300]}")
    share = delegates.share_of(backend.provider, said)
    if failed := FAILED.search(said):
        raise WorkloadFailed(f"benchmark_model ended with {failed[0]!r}: what it printed before is no result")
    found = _litert(said) or _classic(said)
    unknown = unknown_lines(said, KNOWN)
    return replace(
        found,
        summary=replace(
            found.summary,
            nodes_delegated=share.taken if share else None,
            nodes_total=share.total if share else None,
            partly_delegated=bool(share and share.partly),
            unknown_lines=unknown,
        ),
    )


def _classic(said: str) -> ToolReport:
    # The last line of counts is that of the timed runs; the one before is the warm-up's.
    lines = re.findall(rf"count=(\d{{1,9}})((?: (?:first|curr|min|max|avg|std|p5|median|p95)=(?:{NUMBER}))*)", said)
    if not lines:
        raise ProtocolMismatch(f"benchmark_model printed no result: {shown(said)}")
    count, rest = lines[-1]
    found = dict(re.findall(rf"(\w+)=({NUMBER})", rest))
    if "avg" not in found and "curr" in found:  # one run only: first and curr
        found |= {"avg": found["curr"], "min": found["curr"], "max": found["curr"]}
    timings = dict(re.findall(rf"(Init|First inference)(?:[^:\n]{{0,40}})?: ({NUMBER})", said))
    return _report(found, int(count), US, timings.get("Init"), timings.get("First inference"))


def _litert(said: str) -> ToolReport | None:
    """What the benchmark of LiteRT's CompiledModel prints; None where it is not that."""
    average = re.search(rf"Inference \(avg\):\s+({NUMBER}) ms \((\d{{1,9}}) runs?\)", said)
    if average is None:
        return None
    found = {"avg": average[1]} | dict(re.findall(rf"Inference \((min|max)\):\s+({NUMBER}) ms", said))
    named = dict(re.findall(rf"(Model initialization|Warmup \(first\)):\s+({NUMBER}) ms", said))
    return _report(found, int(average[2]), MS, named.get("Model initialization"), named.get("Warmup (first)"))


def _report(found: Mapping[str, str], count: int, unit_ns: float, load: str | None, first: str | None) -> ToolReport:
    missing = [name for name in ("avg", "min", "max") if name not in found]
    if missing:
        raise ProtocolMismatch(f"benchmark_model's result has no {', '.join(missing)}: {str(dict(found))[:200]}")

    def ns(text: str | None, name: str) -> int | None:
        return None if text is None else time_ns(text, unit_ns=unit_ns, what=name)

    average, least, most = (ns(found[name], name) or 0 for name in ("avg", "min", "max"))
    if not least <= ROUNDED * average <= ROUNDED * ROUNDED * most:
        raise ProtocolMismatch(f"benchmark_model's average is not between its least and its most: {str(dict(found))[:200]}")
    summary = ToolSummary(
        statistic="tool_mean",
        estimate_ns=average,
        count=count,
        min_ns=least,
        max_ns=most,
        median_ns=ns(found.get("median"), "median"),
        p95_ns=ns(found.get("p95"), "p95"),
    )
    return ToolReport(summary, load_ns=ns(load, "Init"), first_inference_ns=ns(first, "First inference"))


TOOL = Tool(argv, parse)
