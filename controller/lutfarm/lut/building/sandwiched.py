"""Operators from their sandwiches: what each adds to the stubs around it.  Pure.

Both ends of a sandwich are halves of two stub pairs, T(pair) = ends + stubs, so the operator is
T(sandwich) - T(pair at its input) / 2 - T(pair at its output) / 2.  An operator that is one end of a network keeps
that end, with half of what a call costs: a network's sum has each end once.  What would be part of a stub (an
activation) is measured alone, less what a call costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lutfarm.lut.schema.entry import QUANTILE, Entry
from lutfarm.lut.table import LatencyTable
from lutfarm.statistics.estimates.flags import UNKNOWN
from lutfarm_jobs import operators
from lutfarm_jobs.measurement_key import MeasurementKey, named, workload_key
from lutfarm_jobs.operators.sandwich import pairs

MOST_INDISTINCT = 0.05  # of a sandwich: what an operator may be uncertain by that can't be told from 0


def sandwiched(
    table: LatencyTable, relative_target: float, *, call_ns: Mapping[tuple[str, str], float] | None = None
) -> LatencyTable:
    """The table with an entry of each operator whose sandwich and stubs it has; what they rest on stays beside them.

    `call_ns`: by device and backend, what a call costs that computes nothing; it is taken off what was measured alone.

    A derived entry whose half-width is above `relative_target` of it is flagged `not_precise`: a small difference of two
    larger latencies is known worse than either.  One that can't be told from nothing is flagged `indistinct`, and fails where
    that leaves open more than MOST_INDISTINCT of its sandwich.  A part that is no estimate itself (flags.UNKNOWN) fails it.
    """
    entries = {(e.device, e.backend, e.conditions, e.workload): e for e in table.entries}
    derived: list[Entry] = []
    for (device, backend, conditions, workload), entry in entries.items():
        if inner := named(workload, "sandwich"):
            names = pairs(operators.parse(inner))
            stubs = {name: entries.get((device, backend, conditions, workload_key("stubs", name))) for name in names}
            if all(stubs.values()):  # a pair that is not measured yet: neither is the operator
                derived.append(_derived(entry, inner, [stub for name in names if (stub := stubs[name])], relative_target))
    calls_ns = call_ns or {}
    kept = [_without_call(entry, calls_ns.get((entry.device, entry.backend), 0.0), relative_target) for entry in table.entries]
    return LatencyTable.of((*kept, *derived), replace(table.manifest, composition="sandwiched"))


def _without_call(entry: Entry, call_ns: float, relative_target: float) -> Entry:
    if entry.kind != "measured" or named(entry.workload, "operator") is None:
        return entry
    rest_ns, half_ns = (entry.estimate or 0.0) - call_ns, _half_ns(entry)
    if UNKNOWN & set(entry.flags):  # its interval reaches over all that was seen, and is no error's distribution
        if rest_ns <= 0:
            return _failed(entry, "Unstable", f"{_busy(entry)}: {rest_ns:.0f} ns are left of it without the call")
        low_ns, high_ns = (max(0.0, (ns or 0.0) - call_ns) for ns in (entry.low, entry.high))
        return replace(_bare(entry), statistic="sandwiched", estimate=rest_ns, low=low_ns, high=high_ns)
    estimate_ns, low_ns, high_ns = positive(max(rest_ns, -half_ns), half_ns)
    raised = set(entry.flags) | ({"indistinct"} if rest_ns <= half_ns else set[str]())
    if call_ns and half_ns > relative_target * estimate_ns:  # the same interval round less
        raised = raised - {"converged"} | {"not_precise"}
    return replace(
        _bare(entry), statistic="sandwiched", estimate=estimate_ns, low=low_ns, high=high_ns, flags=tuple(sorted(raised))
    )


def _busy(entry: Entry) -> str:
    """Why a difference with this entry in it is no number, and what to do."""
    flags = " and ".join(sorted(UNKNOWN & set(entry.flags)))
    return f"{entry.workload} was measured on a busy machine ({flags}); measure it again on a quiet one"


def _derived(entry: Entry, name: str, stubs: Sequence[Entry], relative_target: float) -> Entry:
    """One operator's entry; `entry` is of its sandwich."""
    workload = workload_key("operator", name)
    whole = replace(
        entry,
        key=str(replace(MeasurementKey.parse(entry.key), workload=workload)),
        workload=workload,
        run_ids=tuple(dict.fromkeys(run for one in (entry, *stubs) for run in one.run_ids)),
    )
    failed = next((one for one in (entry, *stubs) if one.kind != "measured"), None)
    if failed is not None:
        return _failed(whole, failed.failure_code or "WorkloadFailed", f"{failed.workload}: {failed.failure_detail or ''}")
    busy = next((one for one in (entry, *stubs) if UNKNOWN & set(one.flags)), None)
    if busy is not None:
        return _failed(whole, "Unstable", f"{_busy(busy)}: a small difference of such latencies would be no number")
    parts = [(entry, 1.0), *((stub, -0.5) for stub in stubs)]
    total_ns = sum(sign * (one.estimate or 0.0) for one, sign in parts)
    half_ns = math.sqrt(sum((sign * _half_ns(one)) ** 2 for one, sign in parts))
    seen = f"it adds {total_ns:.0f} ns to its stubs, with an interval of +-{half_ns:.0f} ns"
    if total_ns + half_ns <= 0:
        return _failed(whole, "Unstable", seen)
    indistinct = total_ns <= half_ns
    if indistinct and half_ns > MOST_INDISTINCT * (entry.estimate or 0.0):
        return _failed(whole, "Unstable", f"{seen}: it can't be told from nothing; give the job more rounds")
    estimate_ns, low_ns, high_ns = positive(total_ns, half_ns)
    raised = {flag for one, _ in parts for flag in one.flags} - {"converged", "not_precise"}
    raised.add("converged" if half_ns <= relative_target * estimate_ns else "not_precise")
    raised |= {"indistinct"} if indistinct else set()
    return replace(
        _bare(whole), statistic="sandwiched", estimate=estimate_ns, low=low_ns, high=high_ns, flags=tuple(sorted(raised))
    )


def _bare(entry: Entry) -> Entry:
    """Without what describes the iterations of more than the operator."""
    return replace(
        entry,
        mean=None,
        median=None,
        p10=None,
        p25=None,
        p95=None,
        min=None,
        std=None,
        variation=None,
        between_spread=None,
        within_spread=None,
        effective_iterations=None,
        contended_median=None,
        load_ns=None,
        first_inference_ns=None,
        peak_memory_bytes=None,
        iteration_spread=None,
        slice_spread=None,
        round_spread=None,
        sitting_spread=None,
        p90_low=None,
        p90_high=None,
        p99_low=None,
        p99_high=None,
    )


def positive(middle_ns: float, half_ns: float) -> tuple[float, float, float]:
    """A latency that is known to be above zero, from a difference that may not be: estimate, low, high.

    The mean of the normal distribution cut off at zero (N. L. Johnson, S. Kotz, Continuous Univariate Distributions 1,
    1970, section 13.7); the interval ends at zero where it would go below.
    """
    error_ns = half_ns / QUANTILE
    if error_ns == 0 or middle_ns > 8 * error_ns:
        return middle_ns, max(0.0, middle_ns - half_ns), middle_ns + half_ns
    at = middle_ns / error_ns
    above = 0.5 * math.erfc(-at / math.sqrt(2))
    mean_ns = middle_ns + error_ns * math.exp(-at * at / 2) / math.sqrt(2 * math.pi) / above
    return mean_ns, max(0.0, middle_ns - half_ns), max(mean_ns, middle_ns + half_ns)


def _half_ns(entry: Entry) -> float:
    return ((entry.high or 0.0) - (entry.low or 0.0)) / 2


def _failed(named: Entry, code: str, detail: str) -> Entry:
    return Entry(
        key=named.key,
        workload=named.workload,
        device=named.device,
        backend=named.backend,
        kind="failed",
        conditions=named.conditions,
        precision=named.precision,
        batch_size=named.batch_size,
        run_ids=named.run_ids,
        failure_code=code,
        failure_detail=detail,
    )
