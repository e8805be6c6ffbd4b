"""An operator between two thin 1x1 convolutions, and what the two cost without it.

Inside a network an operator finds its input in the layout that its neighbour left it in.  Alone it converts both ends.
Between stubs it does not: what it adds to them is closer to what it adds to a network.
"""

from __future__ import annotations

import re

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.keys import seed_of

THIN = 16  # channels at a stub's outer end: cheap, and wide enough for blocked layouts
IMAGE_CHANNELS = 4  # an operator on so few takes the network's own input: no stub before it
_PAIR = re.compile(r"H([1-9][0-9]{0,5})_W([1-9][0-9]{0,5})_C([1-9][0-9]{0,6})", re.ASCII)


def fits(operator: Operator) -> bool:
    """Whether it stays an operator of its own between stubs: a convolution does an activation behind it along."""
    graph = Graph("what it is", operator.input_shape)
    operator.append(graph, graph.input)
    return [node.kind for node in graph.nodes] != ["activation"]


def sandwich(operator: Operator) -> Graph:
    """The operator with a stub before and behind it; an end of a network (an image, a classifier) has none there."""
    _, channels, height, width = operator.input_shape
    before = channels > IMAGE_CHANNELS
    graph = Graph(f"sandwich:{operator.key}", (1, THIN if before else channels, height, width), seed_of(operator.key))
    tensor = graph.convolution(graph.input, channels) if before else graph.input
    tensor = operator.append(graph, tensor)
    if graph.nodes[-1].kind != "fully_connected":
        tensor = graph.convolution(tensor, THIN)
    return graph.finish(tensor)


def stubs(pair: str) -> Graph:
    """The two stubs with nothing between them.  Raises SpecError for a name that `pairs` does not give."""
    match = _PAIR.fullmatch(pair)
    if match is None:
        raise SpecError(f"{pair[:80]!r} names no pair of stubs: HN_WN_CN is needed")
    height, width, channels = (int(number) for number in match.groups())
    graph = Graph(f"stubs:{pair}", (1, THIN, height, width), seed_of(pair))
    return graph.finish(graph.convolution(graph.convolution(graph.input, channels), THIN))


def pairs(operator: Operator) -> tuple[str, ...]:
    """The stub pairs of which half each is in the operator's sandwich: at its input, at its output; or one of them."""
    shapes = [operator.input_shape] if operator.input_shape[1] > IMAGE_CHANNELS else []
    inner = Graph("shape", operator.input_shape)
    output = operator.append(inner, inner.input)
    if inner.nodes[-1].kind != "fully_connected":
        shapes.append(output.shape)
    return tuple(f"H{height}_W{width}_C{channels}" for _, channels, height, width in shapes)
