"""Which execution provider ran how much of a graph, by what ONNX Runtime logs of it in all known versions.

Up to 1.12 `All nodes have been placed on [CPUExecutionProvider].`, else ` Provider: [CPUExecutionProvider]: [Conv (a), Add (b)]`.
Since: ` All nodes placed on [X]. Number of nodes: 66`, else ` Node(s) placed on [X]. Number of nodes: 2`, each followed by its
nodes.  A provider that compiles fuses what it takes into few nodes, and logs how many they were:
`number of partitions supported by NNAPI: 2 number of nodes in the graph: 66 number of nodes supported by NNAPI: 60`.
"""

from __future__ import annotations

import re

from lutfarm_agents.native_tools.report import Share, shown
from lutfarm_jobs.errors import WorkloadFailed

HEADER = re.compile(r"^.{0,300}\bNode placements *$", re.MULTILINE)
# After the logger's prefix, "...] "; nodes are set in further, and a node's name may hold anything.
LINE = r"^(?:[^\[\n]{0,100}\[[^\]\n]{1,300}\] )? ?"
ALL = re.compile(LINE + r"All nodes (?:have been )?placed on \[(\w{1,80})\]\.?(?: Number of nodes: (\d{1,7}))?", re.MULTILINE)
SOME = re.compile(LINE + r"Node\(s\) placed on \[(\w{1,80})\]\.? Number of nodes: (\d{1,7})", re.MULTILINE)
LISTED = re.compile(LINE + r"Provider: \[(\w{1,80})\]: \[(.*)", re.MULTILINE)
LISTED_NODE = re.compile(r"(?:^|, )[A-Za-z_]\w* \(")
SUPPORTED = re.compile(
    r"number of partitions supported by [\w ]{1,40}: (\d{1,7}),? number of nodes in the graph: (\d{1,7}),? "
    r"number of nodes supported by [\w ]{1,40}: (\d{1,7})",
    re.IGNORECASE,
)
CPU = "cpuexecutionprovider"


def share_of(provider: str, said: str) -> Share | None:
    """What the asked provider ran; None where nothing is printed and the CPU was asked for.  Raises WorkloadFailed."""
    placed = _placed(said)
    name = f"{provider}executionprovider"
    if not placed:
        if provider == "cpu":
            return None
        raise WorkloadFailed(
            f"nothing that the tool printed says that the provider {provider} ran. Looked for: 'All nodes placed on [...]' or "
            "'Node(s) placed on [...]', which -v prints (on Android into its log, where nobody reads it: there is no evidence "
            f"there). It printed: {shown(said)}"
        )
    if placed.get(name, 0) == 0:
        where = ", ".join(f"{count or 'all'} on {other}" for other, count in placed.items())
        raise WorkloadFailed(
            f"the provider {provider} ran none of the model's nodes ({where}): it would have measured the CPU under another "
            "name; see which operators and shapes the provider supports"
        )
    partly = len([count for count in placed.values() if count != 0]) > 1
    if provider == "cpu" and partly:
        raise WorkloadFailed(f"the CPU was asked for, and nodes were placed on {', '.join(n for n in placed if n != CPU)} too")
    counted = _supported(said)
    if counted and partly:
        return Share(*counted, partly=True)
    counts = [count for count in placed.values() if count is not None]
    total = sum(counts) if len(counts) == len(placed) else None
    return Share(placed.get(name), total, partly=partly)


def _placed(said: str) -> dict[str, int | None]:
    """By provider, in small letters: how many nodes; None where that is not said."""
    headers = list(HEADER.finditer(said))
    text = said[headers[-1].end() :] if headers else said  # of the last session that was made
    found: dict[str, int | None] = {}
    for name, count in ALL.findall(text):
        found[name.lower()] = int(count) if count else None
    for name, count in SOME.findall(text):
        found[name.lower()] = int(count)
    for name, nodes in LISTED.findall(text):
        found[name.lower()] = len(LISTED_NODE.findall(nodes)) if nodes.rstrip().endswith("]") else None
    return found


def _supported(said: str) -> tuple[int, int] | None:
    """(Nodes that were taken, nodes of the graph) before fusion, of the largest graph; None where it is not said.

    QNN's plugin logs the partitions as the number of nodes: that says nothing.
    """
    lines = [(int(taken), int(total)) for parts, total, taken in SUPPORTED.findall(said) if int(taken) > int(parts)]
    return max(lines, key=lambda each: each[1]) if lines else None
