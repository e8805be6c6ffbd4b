"""What the runs of one measurement say together, before anything is known of the other entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from lutfarm.records.fingerprints import agree
from lutfarm.statistics.samples.correlation import effective_size
from lutfarm.statistics.samples.held_up import held_up
from lutfarm.statistics.samples.percentiles import linear
from lutfarm.statistics.samples.process import FloatArray, Mode, counted_slices, mode_of, process_percentile_ns, samples_ns
from lutfarm.statistics.samples.swept import LEAST_QUIET, hidden_slowdown, visits
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.run import Environment, Run, Slice

Statistic = Literal["p25_quiet", "p10_swept", "p25_contended", "p50_sustained", "tool_mean", "tool_median"]
STATISTICS: Mapping[Mode, Statistic] = {"gated": "p25_quiet", "swept": "p10_swept", "sustained": "p50_sustained"}

LEAST_OF_TRUNCATED = 0.5  # of the slices that a complete run kept


@dataclass(frozen=True, slots=True)
class Iterations:
    """What the iterations that the estimate rests on look like, all processes together; times in ns."""

    count: int
    mean: float
    min: float
    max: float
    median: float | None = None  # None, here and below: a tool printed aggregates only
    p10: float | None = None
    p25: float | None = None
    p95: float | None = None
    std: float | None = None
    within_spread: float | None = None  # root mean square over processes of std / mean
    effective: float | None = None  # summed over processes


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One run and those of its slices that the estimate rests on."""

    run: Run
    slices: tuple[Slice, ...]
    estimate: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.  `processes` are in the order in which they were started."""

    statistic: Statistic
    processes: tuple[ProcessSample, ...]
    iterations: Iterations
    contended_median: float | None  # of the slices that were not quiet, None where all were
    slices_rejected: int  # visits that found no quiet window
    runs_left_out: int  # of an older fingerprint, cut short, held up, or without a quiet slice
    quiet_share: float = 1.0  # of the visits, those that gave a quiet slice
    hidden: float = 0.0  # relative: see swept.hidden_slowdown

    @property
    def estimates(self) -> tuple[float, ...]:
        """The process-level estimates."""
        return tuple(process.estimate for process in self.processes)

    @property
    def estimates_by_round(self) -> tuple[tuple[str, float], ...]:
        """(Round id, process-level estimate)."""
        return tuple((process.run.round_id, process.estimate) for process in self.processes)

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices that the estimate rests on."""
        return tuple(piece for process in self.processes for piece in process.slices)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """What was true before and after, where it is known."""
        moments = (moment for process in self.processes for moment in (process.run.before, process.run.after))
        return tuple(moment for moment in moments if moment is not None)


def sample(runs: Iterable[Run]) -> Sample | None:
    """The process-level samples of one measurement's runs; None where no run has an iteration.

    Runs of another fingerprint than the newest one's are left out: they are of another device, in effect.  A truncated
    run counts if it kept half as many slices as a complete one; a swept one if enough of its visits were quiet, as long as
    any run has that; none that was held up (statistics.held_up).  Where no run has a quiet slice the contended ones stand
    in, and the statistic says so.
    """
    measured = sorted((run for run in runs if run.summary or any(piece.samples_ns for piece in run.slices)), key=_began)
    if not measured:
        return None
    alike = [run for run in measured if agree(run.fingerprint, measured[-1].fingerprint)]
    if any(run.summary for run in alike):
        return _of_tool(alike, left_out=len(measured) - len(alike))
    mode = mode_of(alike)
    counted = _without_stumps([(run, counted_slices(run.slices, mode)) for run in alike])
    statistic = STATISTICS[mode]
    if mode == "swept":
        counted = [(run, slices) for run, slices in counted if visits(run.slices).share >= LEAST_QUIET] or counted
    if not counted:
        statistic = "p25_contended"
        counted = _without_stumps([(run, tuple(p for p in run.slices if p.samples_ns)) for run in alike])
    processes = _not_held_up(
        [ProcessSample(run, slices, _estimate_ns(samples_ns(slices), statistic, mode)) for run, slices in counted]
    )
    contended = [piece for run in alike for piece in run.slices if mode != "sustained" and not piece.quiet]
    rejected = sum(_rejected(run) for run in alike)
    quiet = sum(_quiet_visits(run) for run in alike)
    return Sample(
        statistic=statistic,
        processes=processes,
        iterations=_iterations([samples_ns(process.slices) for process in processes]),
        contended_median=float(median(samples_ns(contended).tolist())) if samples_ns(contended).size else None,
        slices_rejected=rejected,
        runs_left_out=len(measured) - len(processes),
        quiet_share=quiet / max(1, quiet + rejected),
        hidden=hidden_slowdown(alike, median(p.estimate for p in processes)) if statistic == "p10_swept" else 0.0,
    )


def _estimate_ns(iterations_ns: FloatArray, statistic: Statistic, mode: Mode) -> float:
    """Contended iterations of whatever length are summed up alike."""
    return process_percentile_ns(iterations_ns, "gated" if statistic == "p25_contended" else mode)


def _not_held_up(processes: Sequence[ProcessSample]) -> tuple[ProcessSample, ...]:
    without = held_up([process.estimate for process in processes])
    return tuple(process for at, process in enumerate(processes) if at not in without)


def _of_tool(runs: Sequence[Run], *, left_out: int) -> Sample:
    """One invocation is one process.  Raises SpecError where some runs are of another statistic."""
    summarized = [(run, run.summary) for run in runs]
    kinds = {summary.statistic if summary else "samples" for _, summary in summarized}
    summaries = [(run, summary) for run, summary in summarized if summary is not None]
    if len(kinds) > 1:
        raise SpecError(f"{runs[0].key} has runs of different statistics ({', '.join(sorted(kinds))}): they can't be one entry")
    medians = [summary.median_ns for _, summary in summaries if summary.median_ns is not None]
    return Sample(
        statistic=summaries[0][1].statistic,
        processes=tuple(ProcessSample(run, (), float(summary.estimate_ns)) for run, summary in summaries),
        iterations=Iterations(
            count=sum(summary.count for _, summary in summaries),
            mean=float(np.mean([summary.estimate_ns for _, summary in summaries])),
            min=float(min(summary.min_ns for _, summary in summaries)),
            max=float(max(summary.max_ns for _, summary in summaries)),
            median=float(median(medians)) if medians else None,
        ),
        contended_median=None,
        slices_rejected=0,
        runs_left_out=left_out,
    )


def _began(run: Run) -> tuple[float, str]:
    return run.started_s, run.id


def _without_stumps(counted: Sequence[tuple[Run, tuple[Slice, ...]]]) -> list[tuple[Run, tuple[Slice, ...]]]:
    kept = [(run, slices) for run, slices in counted if slices]
    complete = [len(slices) for run, slices in kept if run.status == "complete"]
    least = LEAST_OF_TRUNCATED * float(median(complete)) if complete else 0.0
    return [(run, slices) for run, slices in kept if run.status == "complete" or len(slices) >= least]


def _quiet_visits(run: Run) -> int:
    """Of a gated workload each visit keeps one quiet slice at most."""
    if any(not piece.gated for piece in run.slices):
        return visits(run.slices).quiet
    return sum(piece.quiet for piece in run.slices)


def _rejected(run: Run) -> int:
    """Visits without a quiet slice.  Of a swept workload every slice is kept, so that its visits can be counted.

    A truncated run never said how many there were: at least those that it kept.
    """
    if any(not piece.gated for piece in run.slices):
        visited = visits(run.slices)
        return visited.made - visited.quiet
    return max(run.slices_rejected, sum(not piece.quiet for piece in run.slices))


def _iterations(series: Sequence[FloatArray]) -> Iterations:
    pooled = np.concatenate(series)
    p10, p25, p50, p95 = linear(pooled, 10, 25, 50, 95)
    within = [float(np.std(values) / np.mean(values)) for values in series]
    return Iterations(
        count=len(pooled),
        mean=float(np.mean(pooled)),
        median=p50,
        p10=p10,
        p25=p25,
        p95=p95,
        min=float(np.min(pooled)),
        max=float(np.max(pooled)),
        std=float(np.std(pooled)),
        within_spread=float(np.sqrt(np.mean(np.square(within)))),
        effective=sum(effective_size(values) for values in series),
    )
