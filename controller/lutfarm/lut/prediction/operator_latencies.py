"""What the operators of one device and backend cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lutfarm.lut.schema.columns import Columns
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement_key import named
from lutfarm_jobs.operators.base import Operator

# Statistics that estimate the same thing may be summed; any other only with itself.
ESTIMANDS: Mapping[str, str] = {
    "p25_quiet": "latency of the uncontended device",
    "p10_swept": "latency of the uncontended device",
    "in_network": "latency of the uncontended device",
    "solved": "latency of the uncontended device",
    "sandwiched": "latency of the uncontended device",
    "tool_mean": "a native tool's mean",
    "tool_median": "a native tool's median",
    "p50_sustained": "latency after minutes of load",
    "p25_contended": "latency of the uncontended device",  # flagged, and its interval says how little it knows
}


@dataclass(frozen=True, slots=True)
class Price:
    """One entry as a prediction uses it; `row` is its position in the table, -1 for what is nothing by structure."""

    row: int
    estimate: float
    low: float
    high: float
    common_share: float


class Prices:
    """The operator entries of one device and backend, by the operator's key."""

    def __init__(self, columns: Columns, where: str) -> None:
        """Raises SpecError where a workload has more than one entry."""
        self.where = where
        self._columns = columns
        workloads = columns.texts("workload")
        self._rows = {name: row for row, key in enumerate(workloads) if (name := named(key, "operator"))}
        twice = np.flatnonzero(columns.repeated("workload"))
        if len(twice):
            name = workloads[int(twice[0])]
            raise SpecError(f"{where} has more than one entry of {name!r}: a prediction can't choose")
        self._estimate_ns, self._low_ns, self._high_ns = (columns.numbers(name) for name in ("estimate", "low", "high"))
        # What is not known to be independent is taken to move together, which is the wider interval.
        self._common = np.nan_to_num(columns.numbers("common_share"), nan=1.0)
        self._failed = columns.equal("kind", "failed")
        self._statistics = columns.texts("statistic")
        self._flags: list[tuple[str, ...]] | None = None

    def of(self, operator: Operator) -> Price | None:
        """None where there is no entry, or one that failed; zero for what is nothing by structure."""
        if operator.is_nothing:
            return Price(-1, 0.0, 0.0, 0.0, 0.0)
        return self.at(operator.key)

    def at(self, operator_key: str) -> Price | None:
        """The entry of an operator that is something; None where there is none, or one that failed."""
        row = self._rows.get(operator_key)
        if row is None or self._failed[row]:
            return None
        return Price(
            row, float(self._estimate_ns[row]), float(self._low_ns[row]), float(self._high_ns[row]), float(self._common[row])
        )

    def knows(self, operator: Operator) -> bool:
        """Whether there is an entry, be it a failed one."""
        return operator.is_nothing or operator.key in self._rows

    def failure(self, operator_key: str) -> str:
        """How the operator failed; empty where it did not."""
        row = self._rows.get(operator_key)
        if row is None or not self._failed[row]:
            return ""
        (entry,) = self._columns.entries([row])
        return f"failed: {entry.failure_code}: {(entry.failure_detail or '')[:120]}"

    def flags(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Every flag of some entries but `converged`, in alphabetical order."""
        if self._flags is None:
            self._flags = self._columns.lists("flags")
        return tuple(sorted({flag for row in rows if row >= 0 for flag in self._flags[row]} - {"converged"}))

    def refuse_mixture(self, rows: Iterable[int]) -> None:
        """Raises SpecError where entries estimate different things: a sum of them would estimate nothing."""
        statistics = {self._statistics[row] for row in rows if row >= 0} - {""}
        if len({ESTIMANDS.get(name, name) for name in statistics}) > 1:
            names = ", ".join(sorted(statistics))
            raise SpecError(f"{self.where} mixes the statistics {names}; they can't be added up")
