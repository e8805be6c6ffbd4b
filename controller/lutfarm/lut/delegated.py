"""What native tools said of who ran the graph, as fields of an entry."""

from __future__ import annotations

from typing import TypedDict

from lutfarm.statistics.samples.sample import Sample


class Delegated(TypedDict, total=False):
    """Fields of an entry."""

    nodes_delegated: int
    nodes_total: int
    tool_lines: str


def delegated(sample: Sample) -> Delegated:
    """The least share of its processes, and what no known version prints; nothing where no tool measured."""
    said = [process.run.summary for process in sample.processes if process.run.summary is not None]
    fields: Delegated = {}
    counted = [(one.nodes_delegated, one.nodes_total) for one in said if one.nodes_delegated is not None]
    if counted:
        taken, total = min(counted, key=lambda pair: pair[0] / max(1, pair[1] or pair[0]))
        fields["nodes_delegated"] = taken
        if total is not None:
            fields["nodes_total"] = total
    if lines := dict.fromkeys(line for one in said for line in one.unknown_lines):
        fields["tool_lines"] = " | ".join(lines)[:2000]
    return fields
