"""One entry of a table, and what the table says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lutfarm_jobs.measurement_key import with_path

Kind = Literal["measured", "zero", "failed"]
QUANTILE = 1.96  # a half-width over this is taken for a standard error
KINDS: tuple[Kind, ...] = ("measured", "zero", "failed")
IN_QUANTITY_UNIT = frozenset(
    [
        "estimate",
        "low",
        "high",
        "mean",
        "median",
        "p10",
        "p25",
        "p95",
        "min",
        "std",
        "p90_low",
        "p90_high",
        "p99_low",
        "p99_high",
        "contended_median",
    ]
)
"""The fields whose unit is the entry's `quantity_unit`; other fields with a unit name it at their end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One quantity of one workload on one device and backend; values in `quantity_unit`, what ends with `_ns` in ns.

    kind "measured": an estimate inside its interval, above zero.  "zero": nothing by structure, 0 by definition,
    never measured.  "failed": a failure as a result; it has no estimate, never a number that stands for one.
    The descriptive figures are of the iterations that the estimate rests on, all rounds together.
    """

    key: str  # Measurement.key
    workload: str  # `operator:...`, `network:...`, `file:...`
    device: str  # the device
    backend: str
    kind: Kind
    conditions: str = "b1-steady"
    precision: str = ""  # of a model file its own (lutfarm_jobs.precision); empty: it doesn't tell
    batch_size: int | None = None  # of a model file its own; None: it can't be told
    path: str = ""  # of a model file: as the job names it
    takes: str = ""  # of a model file: types and shapes of its inputs
    quantity: str = "latency"
    quantity_unit: str = "ns"
    statistic: str = ""  # p25_quiet, p10_swept, p50_sustained, tool_mean, ...; empty unless measured
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    scope: str = ""  # what the interval is over: `sitting`: rounds of one sitting; `devices`
    rounds: int = 0
    iterations: int = 0
    slices_kept: int = 0
    slices_rejected: int = 0  # visits that found no quiet window
    runs_left_out: int = 0  # of an older fingerprint, cut short, held up, or without a quiet slice
    mean: float | None = None
    median: float | None = None
    p10: float | None = None
    p25: float | None = None
    p95: float | None = None
    min: float | None = None
    std: float | None = None
    variation: float | None = None  # std / mean
    between_spread: float | None = None  # std of the logarithms of the rounds' (a pool's: devices') estimates
    within_spread: float | None = None  # std / mean inside a round
    iteration_spread: float | None = None  # variance components (statistics.components), std of logarithms: in a slice
    slice_spread: float | None = None  # ... between slices of a round
    round_spread: float | None = None  # ... between rounds of a sitting
    sitting_spread: float | None = None  # ... between sittings; None here and above where there are too few
    p90_low: float | None = None  # distribution-free 95 % bounds (statistics.tails); None: too few iterations
    p90_high: float | None = None
    p99_low: float | None = None
    p99_high: float | None = None
    common_share: float | None = None  # of the variance between rounds: shared by all its entries
    effective_iterations: float | None = None  # what the autocorrelated iterations are worth
    contended_median: float | None = None
    canary_level: float | None = None  # relative to its reference
    involuntary_switches: int = 0
    wall_over_cpu: float | None = None
    temperature_low_c: float | None = None
    temperature_high_c: float | None = None
    frequency_low_khz: int | None = None
    frequency_high_khz: int | None = None
    load_ns: float | None = None
    first_inference_ns: float | None = None
    peak_memory_bytes: int | None = None
    nodes_delegated: int | None = None  # by what a native tool was asked for; the fewest of its rounds
    nodes_total: int | None = None  # of the graph, as the tool says
    tool_lines: str | None = None  # what the tool printed that no known version of it prints
    flags: tuple[str, ...] = ()
    inputs: str = ""  # of a model file: what each held; see lut/fed.py
    inputs_assumed: str = ""  # those that decide what runs and that nobody gave
    fingerprint: str = ""  # hash of what may change under the same key
    run_ids: tuple[str, ...] = ()
    failure_code: str | None = None  # class name of lutfarm_jobs.errors
    failure_detail: str | None = None

    @property
    def workload_label(self) -> str:
        """The workload's key; of a file with its path in place of its name: two folders may hold one name."""
        return with_path(self.workload, self.path) if self.path else self.workload

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval as a share of the estimate; None unless measured."""
        if not self.estimate or self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.estimate

    @property
    def relative_error(self) -> float | None:
        """The standard error of the estimate's logarithm, from its interval; None unless measured."""
        half = self.relative_half_width
        return None if half is None else half / QUANTILE
