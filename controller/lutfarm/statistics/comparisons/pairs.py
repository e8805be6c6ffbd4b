"""Two sides measured in pairs of rounds close in time: what both rounds share cancels in their ratio.  Pure.

The interval is over pairs: Student's t in log, moderated by the other workloads as entries of a table are
(statistics.prior), with the pair in place of the round.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lutfarm.statistics.comparisons.ratios import differ
from lutfarm.statistics.estimates.precision import LEAST_ROUNDS_ALONE, StopRule, process_estimate_of, reached_alike
from lutfarm.statistics.estimates.prior import priors_of_estimates
from lutfarm.statistics.intervals.distributions import student_beyond
from lutfarm.statistics.intervals.interval import SMALLEST_SPREAD, moderated_interval
from lutfarm.statistics.intervals.quantiles import student_quantile
from lutfarm_jobs.run import Run

PairDecision = Literal["slower", "not slower", "undecided"]

PAIR_GAP_S = 120.0  # from one round's end to the other's start: later, the machine is another
MOST_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class PairedRound:
    """One complete run: Unix times; `estimate` None where it found no quiet window."""

    round_id: str
    started_s: float
    ended_s: float
    estimate: float | None = None


def paired_round(run: Run) -> PairedRound:
    """What pairs need to know of a complete run."""
    estimate = process_estimate_of(run)
    return PairedRound(run.round_id, run.started_s, run.ended_s, estimate.ns if estimate else None)


@dataclass(frozen=True, slots=True)
class PairRatio:
    """B over A with its interval over pairs.  `error` is of the logarithm, with `df` degrees of freedom."""

    ratio: float
    low: float
    high: float
    error: float
    df: float
    pairs: int

    @property
    def relative_half_width(self) -> float:
        """Half the interval as a share of the ratio."""
        return (self.high - self.low) / 2 / self.ratio

    def p_beyond(self, limit: float = 1.0) -> float:
        """The one-sided p-value of its being at most `limit`."""
        t_value = math.log(self.ratio / limit) / self.error
        both = float(student_beyond(np.array(self.df), np.array(t_value)))
        return both / 2 if t_value > 0 else 1 - both / 2


def a_first(seed: str, pair: int) -> bool:
    """Whether A opens a pair.  Two pairs in a row are a block, ABBA or BAAB by lot: a steady drift cancels in each block."""
    drawn = hashlib.sha256(f"{seed}/{pair // 2}".encode()).digest()[0] % 2 == 0
    return drawn == (pair % 2 == 0)


def matched(a: Sequence[PairedRound], b: Sequence[PairedRound]) -> list[tuple[PairedRound, PairedRound]]:
    """The pairs: a round of each side that follow each other within PAIR_GAP_S; each round is in one pair at most.

    What an interruption left alone is in none.
    """
    row = sorted([("a", one) for one in a] + [("b", one) for one in b], key=lambda each: (each[1].started_s, each[1].round_id))
    pairs: list[tuple[PairedRound, PairedRound]] = []
    at = 0
    while at + 1 < len(row):
        (side, one), (other_side, other) = row[at], row[at + 1]
        if side != other_side and other.started_s - one.ended_s <= PAIR_GAP_S:
            pairs.append((one, other) if side == "a" else (other, one))
            at += 1
        at += 1
    return pairs


def waiting(a: Sequence[PairedRound], b: Sequence[PairedRound], now_s: float) -> Literal["a", "b"] | None:
    """Which side has a round whose partner may still come; None where there is none, or it is too long ago."""
    if not a and not b:
        return None
    paired = {each.round_id for pair in matched(a, b) for each in pair}
    side, last = max([("a", one) for one in a] + [("b", one) for one in b], key=lambda each: each[1].started_s)
    if last.round_id in paired or now_s - last.ended_s > PAIR_GAP_S:
        return None
    return "a" if side == "a" else "b"


def ratios_of(ratios: Mapping[str, Mapping[str, float]], *, confidence: float = 0.95) -> dict[str, PairRatio]:
    """By workload, from its B / A by pair.  Workloads with fewer than two pairs have none."""
    enough = {name: by_pair for name, by_pair in ratios.items() if len(by_pair) > 1}
    priors = priors_of_estimates([list(by_pair.items()) for by_pair in enough.values()])
    results: dict[str, PairRatio] = {}
    for (name, by_pair), prior in zip(enough.items(), priors, strict=True):
        interval = moderated_interval(list(by_pair.values()), confidence=confidence, prior_spread=prior.spread, prior_df=prior.df)
        error = interval.spread / math.sqrt(len(by_pair))
        results[name] = PairRatio(
            interval.estimate, interval.low, interval.high, error, prior.df + len(by_pair) - 1, len(by_pair)
        )
    return results


def overall(ratios: Mapping[str, Mapping[str, float]], *, confidence: float = 0.95) -> PairRatio | None:
    """The geometric mean over workloads, each counted once, with Student's t over pairs; None where none has two pairs.

    `ratios`: by workload, B / A by pair; workloads with one pair are left out.  All workloads of a pair share its two
    rounds, so what counts is by how much each pair as a whole moves the mean (a variance that is robust to clusters:
    K.-Y. Liang and S. L. Zeger, Biometrika 73 (1986) 13-22, with n / (n - 1) for a workload of n pairs).  Where workloads
    have different numbers of pairs, the degrees of freedom are the harmonic mean of theirs: the few count most.  It says
    nothing of workloads that were not measured.
    """
    logs = {name: np.log(list(by_pair.values())) for name, by_pair in ratios.items() if len(by_pair) > 1}
    if not logs:
        return None
    moves: defaultdict[str, float] = defaultdict(float)
    for name, values in logs.items():
        count = len(values)
        scale = 1 / (len(logs) * count) * math.sqrt(count / (count - 1))
        for pair, away in zip(ratios[name], values - values.mean(), strict=True):
            moves[pair] += scale * float(away)
    pairs = max(map(len, logs.values()))
    least = SMALLEST_SPREAD / math.sqrt(len(logs) * pairs)
    error = max(math.sqrt(sum(move**2 for move in moves.values())), least)
    df = len(logs) / sum(1 / (len(values) - 1) for values in logs.values())
    middle = float(np.mean([values.mean() for values in logs.values()]))
    half = student_quantile(df, 0.5 + confidence / 2) * error
    return PairRatio(math.exp(middle), math.exp(middle - half), math.exp(middle + half), error, df, pairs)


def precise(ratios: Mapping[str, Mapping[str, float]], rule: StopRule) -> bool:
    """Whether the ratio of every workload, and of all together, is known as well as the rule asks for.

    Judged as the entries of a table are (statistics.precision), with the pair in place of the round.  What all ratios are
    together stands alone: no other ratio says what its spread is.
    """
    counts = [len(by_pair) for by_pair in ratios.values()]
    if not counts or min(counts) < max(LEAST_ROUNDS_ALONE, rule.least_rounds):
        return False
    together = overall(ratios, confidence=rule.confidence)
    if together is None or together.relative_half_width > rule.relative_half_width:
        return False
    return all(one.enough(rule) for one in reached_alike(ratios, rule).values())


def slower_than(ratios: Mapping[str, PairRatio], margin: float) -> list[str]:
    """The workloads that are slower by more than the margin beyond noise, after correction for their number."""
    beyond = differ([one.p_beyond(1 + margin) for one in ratios.values()])
    return [name for name, is_slower in zip(ratios, beyond, strict=True) if is_slower]


def judged(together: PairRatio, slower: Sequence[str], margin: float, *, complete: bool) -> PairDecision:
    """Slower: the overall interval lies above the margin, or some workload is `slower` by more than it.

    Not slower: the overall interval lies below it, and it is `complete`: no workload is left out.
    """
    if together.low > 1 + margin or slower:
        return "slower"
    return "not slower" if complete and together.high <= 1 + margin else "undecided"


def rounds_to_settle(together: PairRatio, margin: float, *, confidence: float = 0.95) -> int | None:
    """How many more pairs would settle an undecided ratio, if it stays where it is; None: more than MOST_ROUNDS."""
    distance = abs(math.log(together.ratio / (1 + margin)))
    spread = together.error * math.sqrt(together.pairs)
    for pairs in range(together.pairs + 1, MOST_ROUNDS + 1):
        if student_quantile(pairs - 1, 0.5 + confidence / 2) * spread / math.sqrt(pairs) < distance:
            return pairs - together.pairs
    return None
