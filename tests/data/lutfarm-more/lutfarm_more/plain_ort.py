"""A runtime on the device: onnxruntime that optimises nothing.  Python 3.9; imported there and nowhere else."""
# pyright: reportMissingImports=false, reportMissingTypeStubs=false

from __future__ import annotations

from typing import Any

from lutfarm_runner.backends.onnxruntime import OnnxRuntime


class Plain(OnnxRuntime):
    """Every node is computed as the file has it."""

    def _options(self, threads: int) -> Any:
        options = super()._options(threads)
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options


def open_backend(threads: int) -> Plain:
    """Raises ImportError where onnxruntime is missing."""
    import onnxruntime

    return Plain(onnxruntime, threads)
