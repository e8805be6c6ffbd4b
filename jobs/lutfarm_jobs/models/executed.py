"""Which nodes of a graph are left once a runtime has optimised it.  Pure.

onnxruntime computes equal nodes once (the same kind over the same tensors, without weights of their own), and lets a
convolution do along the addition, normalisation or activation behind it where nothing else uses its output.  So it is in
1.32 at its default level: tests/integration/test_executed.py holds this against the graphs that it writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lutfarm_jobs.models.graph import Graph, Node

MERGING = frozenset({"onnxruntime", "onnxruntime_perf_test"})    # runtimes; TensorFlow Lite computes what the file says
WEIGHTLESS = frozenset({"activation", "add", "average_pool", "global_average_pool", "max_pool"})
BLOCKED = frozenset({"convolution", "scale_shift"})              # both become convolutions


def executed(graph: Graph) -> tuple[int, ...]:
    """The positions of the nodes that such a runtime computes by themselves, in the graph's order."""
    same = _merged(graph.nodes)
    takes = {at: [same[tensor.node] for tensor in node.sources] for at, node in enumerate(graph.nodes) if same[at] == at}
    uses = Counter(source for sources in takes.values() for source in sources)
    uses.update(same[tensor.node] for tensor in graph.outputs)
    maker: dict[int, int] = {}                     # of what a convolution does along: which one
    sums: set[int] = set()                         # convolutions that add
    done: set[int] = set()                         # that apply an activation
    for at, sources in takes.items():
        node = graph.nodes[at]
        for source in sources:
            by = maker.get(source, source)
            if by < 0 or uses[source] != 1 or by in done or graph.nodes[by].kind not in BLOCKED:
                continue
            if node.kind == "add" and graph.nodes[by].kind == "convolution" and by not in sums:
                sums.add(by)
            elif node.kind == "activation" or (node.kind == "scale_shift" and by == source):
                done.add(by)
            else:
                continue
            maker[at] = by
            break
        if node.activation != "none":
            done.add(maker.get(at, at))
    return tuple(at for at in takes if at not in maker)


def _merged(nodes: Sequence[Node]) -> dict[int, int]:
    """By node, the first that computes the same; -1 is the graph's input."""
    same = {-1: -1}
    first: dict[object, int] = {}
    for at, node in enumerate(nodes):
        known = (
            node.kind, tuple(same[tensor.node] for tensor in node.sources), node.kernel, node.stride, node.padding,
            node.activation,
        )
        same[at] = first.setdefault(known, at) if node.kind in WEIGHTLESS else at
    return same
