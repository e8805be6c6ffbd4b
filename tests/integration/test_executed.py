"""Which nodes are left of a network, held against the optimised graph that onnxruntime itself writes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import pytest

from lutfarm_jobs import spaces
from lutfarm_jobs.graphs.executed import executed
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.runtimes import RUNTIMES

KINDS = {
    "Conv": "convolution",
    "FusedConv": "convolution",
    "AveragePool": "average_pool",
    "Relu": "activation",
    "Add": "add",
    "Gemm": "fully_connected",
    "GlobalAveragePool": "global_average_pool",
}
# Poolings of one node; sums that nothing can do along; what a cell passes on; all convolutions; nothing but skips.
CHOSEN = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|avg_pool_3x3~0|avg_pool_3x3~1|skip_connect~2|",
    "|skip_connect~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|none~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|",
)
SPACE = spaces.load("nas-bench-201-cifar10")


def written(graph: Graph, path: Path) -> Counter[str]:
    """What onnxruntime's own optimised graph holds of the kinds that are told apart."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that such a file fits this processor alone
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(write_onnx(graph), options, providers=["CPUExecutionProvider"])
    return Counter(KINDS[node.op_type] for node in onnx.load(str(path)).graph.node if node.op_type in KINDS)


def told(graph: Graph) -> Counter[str]:
    """The same from the graph alone; a normalisation by itself is written as a convolution."""
    kinds = (graph.nodes[at].kind for at in executed(graph, RUNTIMES["onnxruntime"].fusion))
    return Counter("convolution" if kind == "scale_shift" else kind for kind in kinds)


@pytest.mark.parametrize("arch", [*(SPACE.parse(text) for text in CHOSEN), *SPACE.random(11, 12)])
def test_the_nodes_of_an_optimised_network_are_those_that_are_told(arch: tuple[int, ...], tmp_path: Path) -> None:
    graph = SPACE.network(arch)
    assert written(graph, tmp_path / "optimised.onnx") == told(graph)
