"""Native benchmark tools: command line out, printed result in.  One file each; the registry names them by runtime."""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm_agents.native_tools import benchmark_model, perf_test
from lutfarm_agents.native_tools.report import Tool

TOOLS: Mapping[str, Tool] = {
    "tflite_benchmark_model": Tool(benchmark_model.argv, benchmark_model.parse),
    "onnxruntime_perf_test": Tool(perf_test.argv, perf_test.parse),
}
"""By the runtime's name in a job."""

__all__ = ["TOOLS", "Tool"]
