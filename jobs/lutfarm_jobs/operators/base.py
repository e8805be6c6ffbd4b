"""What an operator is."""

from __future__ import annotations

from typing import Protocol

from lutfarm_jobs.graphs.graph import Graph, Tensor


class Operator(Protocol):
    """One operator configuration: a frozen, hashable value."""

    @property
    def key(self) -> str:
        """Canonical, readable, stable, without `/`, `:` or white space; `operators.parse(key)` inverts it."""
        ...

    @property
    def is_nothing(self) -> bool:
        """True where it costs nothing by structure (identity, `none`): a zero entry, never measured."""
        ...

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """NCHW, in elements, batch 1."""
        ...

    @property
    def multiply_accumulates(self) -> int:
        """How many multiply-accumulates one inference takes."""
        ...

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        """Add this operator to the graph behind `source`; returns its output."""
        ...
