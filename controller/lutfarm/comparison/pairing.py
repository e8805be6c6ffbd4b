"""Pairs of processes, one of each side, close in time: who is next, and when it is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutfarm.agent_pool.interface import Event, Measured, Opened
from lutfarm.scheduling.decide import MeasureThese, Step, chunk_of, decide
from lutfarm.scheduling.news import News
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmState
from lutfarm.statistics.comparisons.pairs import PairedProcess, a_first, matched, precise, process_of, waiting
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm_jobs.errors import SpecError

TRIES = 3  # times the rounds: processes of one key, whole pairs or not
Key = str  # Measurement.key


@dataclass(frozen=True, slots=True)
class PairStrategy:
    """A job that compares.  `keys`: of A and B for each workload; `seed` fixes the order; `rule`: None for all rounds."""

    keys: Sequence[tuple[Key, Key]]
    seed: str
    rule: StopRule | None
    one_machine: bool = False  # both said hello in this sitting, and it is one machine as far as they know
    ending: bool = False  # enough, by verdicts of the time at which each process ran: all are judged once more
    processes: Mapping[Key, Mapping[str, PairedProcess]] = field(
        default_factory=dict[Key, Mapping[str, PairedProcess]]
    )  # ... and by run

    def wants_processes(self, state: FarmState, events: Sequence[Event]) -> Collection[str]:
        """Of units that have just opened; at the end of all."""
        if self.ending:
            return [unit.name for unit in state.units.values() if unit.hello]
        return [event.unit for event in events if isinstance(event, Opened)]

    def after(self, state: FarmState, news: News, now_s: float) -> tuple[PairStrategy, FarmState]:
        """Complete is a whole pair, or the first half of one whose other half can still come close in time."""
        known = replace(self, processes=_with_news(self.processes, news))
        if any(unit.in_flight for unit in state.units.values()):
            return known, state
        if not known.one_machine and all(unit.opened for unit in state.units.values()):
            _check_machine(state)
            known = replace(known, one_machine=True)
        processes = {key: list(mine.values()) for key, mine in known.processes.items()}
        paired = paired_state(state, self.keys, processes, now_s=now_s, rule=self.rule)
        if self.ending or paired.rounds in (0, state.rounds):
            return replace(known, ending=False), paired
        return replace(known, ending=True), replace(paired, rounds=state.rounds)

    def decide(self, state: FarmState, policies: Mapping[str, MeasuringPolicy], now_s: float) -> list[Step]:
        """One step at a time: open and probe both sides, then a process of each in turn."""
        if self.ending or any(unit.in_flight or unit.out or now_s < unit.not_before_s for unit in state.units.values()):
            return []
        others: list[Step] = [step for step in decide(state, policies, now_s) if not isinstance(step, MeasureThese)]
        if others or not all(unit.opened for unit in state.units.values()):
            return others[:1]
        step = next_process(state, self.keys, self.seed, policies)
        return [step] if step else []


def _with_news(processes: Mapping[Key, Mapping[str, PairedProcess]], news: News) -> Mapping[Key, Mapping[str, PairedProcess]]:
    """What is stored and judged anew replaces what was known of the same run."""
    known = dict(processes)
    arrived = [event.run for event in news.events if isinstance(event, Measured) and event.run.status == "complete"]
    for key, newer in [*news.processes.items(), *((run.key, {run.id: process_of(run)}) for run in arrived)]:
        known[key] = {**known.get(key, {}), **newer}
    return known


def next_process(
    state: FarmState, keys: Sequence[tuple[Key, Key]], seed: str, policies: Mapping[str, MeasuringPolicy]
) -> MeasureThese | None:
    """The other half of a pair that has begun, else the first half of the next.  Pure."""
    wanted = [(a, b) for a, b in keys if a in state.plan and (state.wants(a) or state.wants(b))]
    if not wanted:
        return None
    for side in (0, 1):
        behind = [pair for pair in wanted if state.progress(pair[side]).complete < state.progress(pair[1 - side]).complete]
        if behind:
            return _process(state, [pair[side] for pair in behind], policies)
    partner = dict(wanted)
    plans = [state.plan[a] for a, _ in wanted]
    mine = [m.key for m in chunk_of(state, plans, policies[plans[0].unit], float("inf"))]
    theirs = [state.plan[partner[key]] for key in mine]
    fitting = {m.key for m in chunk_of(state, theirs, policies[theirs[0].unit], float("inf"))}
    chosen = [(key, partner[key]) for key in mine if partner[key] in fitting]
    side = 0 if a_first(seed, state.progress(chosen[0][0]).complete) else 1
    return _process(state, [pair[side] for pair in chosen], policies)


def _process(state: FarmState, keys: Sequence[Key], policies: Mapping[str, MeasuringPolicy]) -> MeasureThese:
    plans = [state.plan[key] for key in keys]
    chunk = tuple(m.key for m in chunk_of(state, plans, policies[plans[0].unit], float("inf")))
    return MeasureThese(plans[0].unit, chunk, state.progress(chunk[0]).complete)


def paired_state(
    state: FarmState,
    keys: Sequence[tuple[Key, Key]],
    processes: Mapping[Key, Sequence[PairedProcess]],
    *,
    now_s: float,
    rule: StopRule | None,
) -> FarmState:
    """The state in which what counts is pairs; over where they are precise enough, or a side is out of work.  Pure."""
    progress_of = dict(state.progress_of)
    ratios: dict[Key, dict[str, float]] = {}
    begun = False
    for a, b in keys:
        sides = processes.get(a, ()), processes.get(b, ())
        pairs, lone = matched(*sides), waiting(*sides, now_s)
        begun |= lone is not None
        for key, side in ((a, "a"), (b, "b")):
            progress_of[key] = replace(state.progress(key), complete=len(pairs) + (lone == side))
        ratios[a] = {
            f"{one.round_id}+{other.round_id}": other.estimate / one.estimate
            for one, other in pairs
            if one.estimate and other.estimate
        }
    state = replace(state, progress_of=progress_of)
    # A workload that one side can't run, or that used up its tries, has no more pairs.
    able = [
        (a, b)
        for a, b in keys
        if a in state.plan and not any(_given_up(state, key, len(processes.get(key, ()))) for key in (a, b))
    ]
    kept = {key for pair in able for key in pair}
    state = replace(state, plan={key: m for key, m in state.plan.items() if key in kept})
    out = any(unit.out or (state.spent(unit) and not begun) for unit in state.units.values())
    whole = able and not begun and max(state.progress(key).complete for key in kept) % 2 == 0  # blocks of two pairs
    if rule and whole and precise({a: ratios[a] for a, _ in able}, rule):
        return replace(state, rounds=min(state.progress(key).complete for key in kept))
    return replace(state, rounds=0) if out else state


def _given_up(state: FarmState, key: Key, had: int) -> bool:
    """Failed, or tried too often: where every other half comes too late (a device that has to cool), pairs never end."""
    unfinished = state.progress(key).complete < state.rounds
    return unfinished and (not state.wants(key) or had >= TRIES * state.rounds + TRIES)


def _check_machine(state: FarmState) -> None:
    """Raises SpecError where the sides turn out to be two machines.

    A machine is told by its boot, so only of hellos of now; and looked at once: it may start anew while it is measured.
    """
    machines = {unit.machine_id for unit in state.units.values() if unit.machine_id}  # "": the device can't tell
    if len(machines) > 1:
        raise SpecError(
            f"{' and '.join(state.units)} are two machines: what their processes share does not cancel. Compare their tables: "
            "lutfarm run, lut export, lut diff"
        )
