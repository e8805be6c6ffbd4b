"""What a native tool said of who ran the graph, in entries and where they are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lut_kit import run

from lutfarm.cli.lut.show import entry_row
from lutfarm.lut.delegated import delegated
from lutfarm.lut.schema.entry import Entry
from lutfarm.statistics import sample, summarize
from lutfarm_jobs.run import Run, ToolSummary

WHOLE = ToolSummary("tool_mean", 1000, 50, 990, 1100, nodes_delegated=66, nodes_total=66)
PARTLY = replace(WHOLE, nodes_delegated=2, nodes_total=500, partly_delegated=True)


def runs(*summaries: ToolSummary) -> list[Run]:
    bare = [replace(run(number=number), slices=(), canary_reference_ns=None) for number in range(len(summaries))]
    return [replace(one, summary=summary) for one, summary in zip(bare, summaries, strict=True)]


@pytest.mark.parametrize(
    ("summaries", "flags", "fields"),
    [
        ((WHOLE, WHOLE), set[str](), {"nodes_delegated": 66, "nodes_total": 66}),
        ((WHOLE, PARTLY), {"partly_delegated"}, {"nodes_delegated": 2, "nodes_total": 500}),
        ((replace(PARTLY, nodes_delegated=None, nodes_total=None),), {"partly_delegated"}, {}),
        (
            (replace(WHOLE, unknown_lines=("a", "b")), replace(WHOLE, unknown_lines=("b", "c"))),
            {"unknown_output"},
            {"nodes_delegated": 66, "nodes_total": 66, "tool_lines": "a | b | c"},
        ),
    ],
)
def test_entries_say_it(summaries: tuple[ToolSummary, ...], flags: set[str], fields: dict[str, object]) -> None:
    found = sample(runs(*summaries))
    assert found is not None
    assert set(summarize(found).flags) - {"converged", "not_precise"} == flags
    assert delegated(found) == fields


@pytest.mark.parametrize(
    ("nodes", "total", "shown"),
    [
        (2, 500, "converged partly_delegated(2/500)"),
        (2, None, "converged partly_delegated(2/?)"),
        (None, None, "converged partly_delegated"),
    ],
)
def test_the_count_is_printed_beside_the_flag(nodes: int | None, total: int | None, shown: str) -> None:
    entry = Entry(
        "latency/operator:x/desk/b/c",
        "operator:x",
        "desk",
        "b",
        "measured",
        estimate=5.0,
        low=4.0,
        high=6.0,
        flags=("converged", "partly_delegated"),
        nodes_delegated=nodes,
        nodes_total=total,
    )
    assert entry_row(entry)[-1] == shown
