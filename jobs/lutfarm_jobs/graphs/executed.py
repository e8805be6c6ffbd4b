"""Which nodes of a graph are left once a runtime has optimised it.  Pure.

onnxruntime computes equal nodes once (the same kind over the same tensors, without weights of their own), and lets a
convolution do along the addition, normalisation or activation behind it where nothing else uses its output.  So it is in
1.32 at its default level: tests/integration/test_executed.py holds this against the graphs that it writes.

TensorFlow Lite's kernels on the CPU (XNNPACK) do the activation behind them along where nothing else uses their output, and
merge nothing.  LiteRT 2.3 shows no graph; of 80 networks of NAS-Bench-201 a sum over these nodes left half the error of a
sum over the file's nodes, and a sum over onnxruntime's four times as much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lutfarm_jobs.graphs.graph import Graph, Node
from lutfarm_jobs.runtimes import CONVOLUTIONS, Fusion

WEIGHTLESS = frozenset({"activation", "add", "average_pool", "global_average_pool", "max_pool"})


def executed(graph: Graph, rules: Fusion) -> tuple[int, ...]:
    """The positions of the nodes that such a runtime computes by themselves, in the graph's order."""
    same = _merged(graph.nodes, WEIGHTLESS if rules.merges else frozenset())
    takes = {at: [same[tensor.node] for tensor in node.sources] for at, node in enumerate(graph.nodes) if same[at] == at}
    uses = Counter(source for sources in takes.values() for source in sources)
    uses.update(same[tensor.node] for tensor in graph.outputs)
    maker: dict[int, int] = {}  # of what another node does along: which one
    sums: set[int] = set()  # convolutions that add
    done: set[int] = set()  # nodes that apply an activation
    for at, sources in takes.items():
        node = graph.nodes[at]
        for source in sources:
            by = maker.get(source, source)
            if by < 0 or uses[source] != 1 or by in done:
                continue
            kind = graph.nodes[by].kind
            if node.kind == "add" and rules.sums and kind == "convolution" and by not in sums:
                sums.add(by)
            elif (node.kind == "activation" and kind in rules.activates) or (
                node.kind == "scale_shift" and rules.sums and kind in CONVOLUTIONS and by == source
            ):
                done.add(by)
            else:
                continue
            maker[at] = by
            break
        if node.activation != "none":
            done.add(maker.get(at, at))
    return tuple(at for at in takes if at not in maker)


def _merged(nodes: Sequence[Node], kinds: frozenset[str]) -> dict[int, int]:
    """By node, the first that computes the same, of these kinds; -1 is the graph's input."""
    same = {-1: -1}
    first: dict[object, int] = {}
    for at, node in enumerate(nodes):
        known = (
            node.kind,
            tuple(same[tensor.node] for tensor in node.sources),
            node.kernel,
            node.stride,
            node.padding,
            node.activation,
        )
        same[at] = first.setdefault(known, at) if node.kind in kinds else at
    return same
