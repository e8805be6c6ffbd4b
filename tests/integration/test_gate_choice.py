"""The gate never changes the answer by choosing: on noise that the machine's speed has no part in, gated and open agree.

The same simulated processes are sampled twice by the runner's own code.  The bound is four standard errors of the mean
difference, over independent machines; the control shows that a difference would be seen.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from lutfarm.statistics.samples.process import process_percentile_ns
from lutfarm_agents.testing import (
    Autocorrelated,
    LogNormal,
    Machine,
    Noise,
    ProcessOffsets,
    SimulatedDevice,
    Spikes,
    TwoStates,
    WarmUp,
    begin_round,
    compose,
)
from lutfarm_jobs.round import Slicing
from lutfarm_runner.commands import WireSlicing

GATED = WireSlicing(**asdict(Slicing()))
OPEN = replace(GATED, gate_ratio=1000.0)
TRUE_NS = (30_000.0, 120_000.0, 700_000.0)
MACHINES, PROCESSES, ERRORS = 12, 2, 4.0
USUAL = (WarmUp(), ProcessOffsets())


def estimates(noise: Noise, plan: WireSlicing, seed: int) -> tuple[np.ndarray, int]:
    """Of one machine: logarithms, processes by workloads; and how often the gate turned something away."""
    device = SimulatedDevice(noise=noise, seed=seed)
    machine = Machine(device)
    found = np.full((PROCESSES, len(TRUE_NS)), np.nan)
    away = 0
    for number in range(PROCESSES):
        played = begin_round(machine, TRUE_NS, plan, seed=number, reference_ns=round(device.canary_ns))
        pieces = [piece for batch in played.batches() for piece in batch if piece.quiet]
        for subject in played.subjects:
            samples = [ns for piece in pieces if piece.id == subject.id for ns in piece.samples_ns]
            away += subject.discarded + subject.rejected
            if samples:
                found[number, subject.id] = math.log(process_percentile_ns(np.array(samples, dtype=np.float64), "gated"))
    return found, away


def compare(noise: Noise) -> tuple[float, float, int]:
    """The mean difference of gated from open, its standard error over machines, and what was turned away."""
    means, total = [], 0
    for seed in range(MACHINES):
        gated, away = estimates(noise, GATED, seed)
        opened, none = estimates(noise, OPEN, seed)
        assert none == 0
        total += away
        if not np.isnan(gated).all():
            means.append(float(np.nanmean(gated - opened)))
    return float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(len(means)), total


@pytest.mark.parametrize(
    "noise",
    [
        compose(*USUAL, LogNormal(0.12)),
        compose(*USUAL, Autocorrelated(0.10, 0.6)),
        compose(*USUAL, LogNormal(0.02), Spikes(0.3, 3.0)),
    ],
    ids=["log-normal", "autocorrelated", "spikes"],
)
def test_what_the_gate_turns_away_by_chance_does_not_move_the_estimate(noise: Noise) -> None:
    difference, error, away = compare(noise)
    assert away > MACHINES  # or there was nothing to agree on
    assert abs(difference) <= ERRORS * error
    assert error < 0.005  # or agreement would say nothing


def test_where_the_machine_has_two_speeds_the_gate_does_choose() -> None:
    difference, error, away = compare(compose(*USUAL, LogNormal(0.02), TwoStates(fast_s=(0.01,), slow_s=(0.04,))))
    assert away > MACHINES
    assert difference < -ERRORS * error
