"""Simulated tables for coverage.py: the runner's sampler on a simulated machine, the farm's statistics on what it yields."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import numpy as np

from lutfarm.canary.epochs import current, epochs, judging
from lutfarm.canary.regate import regated
from lutfarm.records.canary_round import Basis, CanaryRound, basis_of, shown_idle
from lutfarm.statistics import Prior, Sample, Summary, Target, priors_of, sample, summarize
from lutfarm.statistics.estimates.precision import LEAST_PRIOR_DF, LEAST_ROUNDS, LEAST_ROUNDS_ALONE
from lutfarm.store.sql.encoding import canary_ns
from lutfarm_agents.testing import Machine, Noise, SimulatedDevice, begin_round
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.run import Environment, Run, Slice
from lutfarm_runner.child import sampling
from lutfarm_runner.commands import WireSlicing

PLAN = Slicing()
MOST_ROUNDS = 8
EPOCH_S = 1_000_000_000.0
BETWEEN_ROUNDS_NS = 20e6
HISTORY_ROUNDS = 16  # of an earlier job: twelve minutes of them
HISTORY_REST_S = 45.0
SHORTEST_NS, LONGEST_NS = 20_000.0, 1_500_000.0

Stop = Callable[[Sample | None, Target, Prior, int], bool]


def wants_more(found: Sample | None, target: Target, prior: Prior, rounds: int) -> bool:
    """The stop rule of lutfarm.statistics.estimates.precision, on samples that are judged anew after each process."""
    if rounds >= MOST_ROUNDS:
        return False
    if found is None or len(found.processes) < (LEAST_ROUNDS_ALONE if prior.df < LEAST_PRIOR_DF else LEAST_ROUNDS):
        return True
    interval = summarize(found, target, prior_spread=prior.spread, prior_df=prior.df).interval
    return interval.relative_half_width > target.relative_half_width


def fixed(rounds: int) -> Stop:
    """Never stops before so many rounds: what optional stopping costs is the difference."""
    return lambda _found, _target, _prior, done: done < rounds


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row: a noise and how the device is met.  `quiet`: whether quiet windows exist, and can be told."""

    name: str
    noise: Noise
    quiet: bool = True
    first_contact: bool = False  # nothing is known of its canary yet
    known_canary: bool = False  # from a time when it was quiet, which it never is again
    slower: float = 1.0
    announced: bool = False  # a canary that changes comes with another version of the runtime
    history_rounds: int = HISTORY_ROUNDS
    history_rest_s: float = HISTORY_REST_S

    def basis(self, process: int) -> Basis:
        """What makes the canary of a process what it is, as far as it is said."""
        change = self.noise.canary
        return (("runtime", "2" if self.announced and change and process >= change.from_process else "1"),)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One entry.  `errors`: of its process-level estimates against the truth, in log.

    `reference`: whether the canary's reference is right at the end, within the gate; None where it is not established.
    """

    covered: bool
    width: float  # of the interval in log
    flags: tuple[str, ...]
    errors: tuple[float, ...]
    rounds: int
    error: float
    quiet: bool  # whether the estimate rests on slices that passed the gate
    quiet_share: float  # of the time in which the table was measured
    reference: bool | None


def play_table(scenario: Scenario, seed: int, *, entries: int, target: Target, stop: Stop = wants_more) -> list[Outcome]:
    """One table of so many entries, from a device that has a past unless this is the first contact."""
    device = SimulatedDevice(noise=scenario.noise, seed=seed, slower=scenario.slower)
    machine = Machine(device)
    rounds: list[CanaryRound] = []
    if scenario.known_canary:
        level_ns, began_s = round(device.canary_ns * scenario.slower), EPOCH_S - HISTORY_ROUNDS * HISTORY_REST_S
        rounds += [
            CanaryRound(began_s + HISTORY_REST_S * n, level_ns, idle=True, basis=scenario.basis(0)) for n in range(HISTORY_ROUNDS)
        ]
    elif not scenario.first_contact:
        for number in range(scenario.history_rounds):
            _round(
                scenario, machine, [100_000.0 * scenario.slower], rounds, WireSlicing(**asdict(replace(PLAN, passes=2))), number
            )
            machine.rest(scenario.history_rest_s * 1e9)
    rng = np.random.default_rng([seed, 99])
    true_ns = np.exp(rng.uniform(math.log(SHORTEST_NS), math.log(LONGEST_NS), entries)) * scenario.slower
    plan = WireSlicing(**asdict(PLAN))
    runs: list[list[Run]] = [[] for _ in true_ns]
    began_ns = machine.now_ns
    began = machine.mark()
    wanted = list(range(entries))
    done = 0
    while wanted:
        machine.rest(BETWEEN_ROUNDS_NS)
        found_runs = _round(scenario, machine, [float(true_ns[index]) for index in wanted], rounds, plan, seed + done)
        for index, run in zip(wanted, found_runs, strict=True):
            runs[index].append(run)
        done += 1
        found, priors = _found(runs, rounds)
        wanted = [index for index in wanted if stop(found[index], target, priors[index], done)]
    found, priors = _found(runs, rounds)
    drift = machine.drift(began_ns, machine.now_ns)
    share = machine.quiet_share(began)
    right = _reference_is_right(scenario, device, machine, rounds)

    def truth_ns(index: int, one: Sample) -> float:
        # What a workload is that is too long to gate is estimated by another percentile, which is another estimand.
        bare_ns = device.estimand_ns(float(true_ns[index]), share=0.10 if one.statistic == "p10_swept" else 0.25)
        return drift * (bare_ns - device.reading_ns) + device.reading_ns

    outcomes: list[Outcome] = []
    for index, (one, prior) in enumerate(zip(found, priors, strict=True)):
        if one is not None:
            summary = summarize(one, target, prior_spread=prior.spread, prior_df=prior.df)
            outcomes.append(_outcome(one, summary, truth_ns(index, one), len(runs[index]), quiet_share=share, reference=right))
    return outcomes


def _reference_is_right(
    scenario: Scenario, device: SimulatedDevice, machine: Machine, rounds: Sequence[CanaryRound]
) -> bool | None:
    known = current(epochs(rounds), rounds[-1].basis, rounds[-1].at_s)
    if known.provisional or known.reference_ns is None:
        return None
    change = scenario.noise.canary
    factor = change.factor if change and machine.processes > change.from_process else 1.0
    ratio = known.reference_ns / (device.canary_ns * scenario.slower * factor)
    return 1 / PLAN.gate_ratio <= ratio <= PLAN.gate_ratio


def _found(runs: Sequence[Sequence[Run]], rounds: Sequence[CanaryRound]) -> tuple[list[Sample | None], list[Prior]]:
    """As the table's builder does it: judged by today's references; a prior from the other entries of the same statistic."""
    history = epochs(rounds)
    judged = [
        [regated(run, judging(history, basis_of(run.fingerprint), run.started_s), gate_ratio=PLAN.gate_ratio) for run in mine]
        for mine in runs
    ]
    found = [sample(mine) for mine in judged]
    priors = [Prior()] * len(found)
    for statistic in {one.statistic for one in found if one}:
        group = [index for index, one in enumerate(found) if one and one.statistic == statistic]
        for index, prior in zip(group, priors_of([one for one in (found[index] for index in group) if one]), strict=True):
            priors[index] = prior
    return found, priors


def _round(
    scenario: Scenario, machine: Machine, true_ns: Sequence[float], rounds: list[CanaryRound], plan: WireSlicing, seed: int
) -> list[Run]:
    """One fresh process; its runs, as the agent would store them.  What the round says of the canary joins `rounds`."""
    basis = scenario.basis(machine.processes)
    reference = current(epochs(rounds), basis, _now_s(machine))
    round_id, started_s, before = uuid.UUID(int=machine.processes).hex, _now_s(machine), _environment(machine)
    played = begin_round(machine, true_ns, plan, seed=seed, reference_ns=reference.reference_ns)
    slices: list[list[Slice]] = [[] for _ in true_ns]
    for batch in played.batches():
        for piece in batch:
            fields = {**vars(piece), "samples_ns": tuple(max(1, value) for value in piece.samples_ns)}
            del fields["id"]
            slices[piece.id].append(Slice(**fields))
    rejected = sampling.rejected(played.subjects)
    runs = [
        Run(
            id=f"{round_id}-{index}",
            key=f"latency/operator:{index}/simulated/onnxruntime-cpu-t1-fp32/b1-steady",
            device="simulated",
            round_id=round_id,
            round_index=0,
            status="complete",
            started_s=started_s,
            ended_s=_now_s(machine),
            fingerprint=dict(basis),
            slices=tuple(slices[index]),
            canary_reference_ns=played.sampler.reference_ns,
            reference_provisional=reference.provisional or played.provisional,
            slices_rejected=rejected.get(index, 0),
            before=before,
            after=_environment(machine),
        )
        for index in range(len(true_ns))
    ]
    levels = [both for run in runs if (both := canary_ns(run.slices, (0.1, 0.0))) is not None]
    if levels:
        level_ns, low_ns = (round(median(mine)) for mine in zip(*levels, strict=True))
        rounds.append(CanaryRound(started_s, level_ns, low_ns, shown_idle(before, runs[0].after), basis))
    return runs


def _now_s(machine: Machine) -> float:
    return EPOCH_S + machine.now_ns / 1e9


def _environment(machine: Machine) -> Environment:
    return machine.environment(EPOCH_S)


def _outcome(
    found: Sample, summary: Summary, truth_ns: float, rounds: int, *, quiet_share: float, reference: bool | None
) -> Outcome:
    interval = summary.interval
    return Outcome(
        covered=interval.low <= truth_ns <= interval.high,
        width=math.log(interval.high / interval.low),
        flags=summary.flags,
        errors=tuple(math.log(level / truth_ns) for level in found.estimates),
        rounds=rounds,
        error=math.log(interval.estimate / truth_ns),
        quiet=found.statistic != "p25_contended",
        quiet_share=quiet_share,
        reference=reference,
    )
