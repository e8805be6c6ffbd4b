"""The history of a canary's reference: when it was established, aged out or was based anew, and why.  Pure.

Each canary (device, backend, threads, conditions) has epochs.  A run is judged by the epoch that it belongs to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lutfarm.canary.reference import MODE_ROUNDS, MODE_SHARE, MODE_WIDTH, OTHER_SPEED, CanaryReference, canary_reference
from lutfarm.records.canary_round import Basis, CanaryRound, difference

HORIZON_S = 30 * 86_400.0  # what is older says nothing of the device of today
SLOWER_ROUNDS = 16  # in a row, none of them at the old speed: the canary is slower for good
SLOWER_SPAN_S = 1800.0
SLOWER_PROVEN_S = 86_400.0  # a load that comes every night or in office hours shows itself
RECENT_ROUNDS = 4
RECENT_SPAN_S = 60.0  # shorter, and a high level may be a neighbour's load

EpochCause = Literal["first contact", "another canary", "aged out", "slower", "faster"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A time with one reference.  Times are Unix times in s.

    `reference_ns` is None where no level repeats yet.  `detail` says in words what was seen.
    """

    since_s: float
    until_s: float  # when its newest round began
    reference_ns: int | None
    provisional: bool
    rounds: int
    why: EpochCause
    detail: str
    basis: Basis = ()


@dataclass(frozen=True, slots=True)
class Recent:
    """How far the newest rounds all are from the reference: the ratio of the one that is nearest to it."""

    ratio: float
    rounds: int
    span_s: float


def epochs(rounds: Iterable[CanaryRound]) -> tuple[Epoch, ...]:
    """All epochs, by when they begin; the rounds may come in any order.

    Rounds of another basis have epochs of their own, and go on where they had been when it comes back.  Within a basis:

    aged out: the reference is a month old; it is taken anew from the rounds of the last month, if there are enough.
    faster: within 30 rounds, three agreed on a level below OTHER_SPEED.  It reaches back: see `judging`.
    slower: SLOWER_ROUNDS rounds in a row over SLOWER_SPAN_S were above OTHER_SPEED.  It is provisional for a day.
    """
    by_basis: defaultdict[Basis, list[CanaryRound]] = defaultdict(list)
    ordered = sorted(rounds, key=lambda canary_round: canary_round.at_s)
    before: dict[Basis, Basis | None] = {}
    last: Basis | None = None
    for canary_round in ordered:
        if canary_round.level_ns <= 0:
            continue
        before.setdefault(canary_round.basis, last)
        by_basis[canary_round.basis].append(canary_round)
        last = canary_round.basis
    every: list[Epoch] = []
    for basis, own_rounds in by_basis.items():
        former = before[basis]
        why, detail = ("first contact", "") if former is None else ("another canary", difference(former, basis))
        every += _of_one_basis(own_rounds, why, detail)
    return tuple(sorted(every, key=lambda epoch: epoch.since_s))


def judging(history: Sequence[Epoch], basis: Basis, at_s: float) -> CanaryReference:
    """The reference for a round that began at `at_s`.

    That of its epoch; but a faster speed that was found within a month after it is what the device could have done, and what
    was slower then counts as disturbed.
    """
    of_basis = [epoch for epoch in history if epoch.basis == basis]
    own = next((epoch for epoch in reversed(of_basis) if epoch.since_s <= at_s), None)
    if own is None or own.reference_ns is None:
        return CanaryReference()
    best = own
    for epoch in of_basis:
        reaches = epoch.why == "faster" and at_s < epoch.since_s <= at_s + HORIZON_S
        if reaches and epoch.reference_ns is not None and epoch.reference_ns < (best.reference_ns or 0):
            best = epoch
    return CanaryReference(best.reference_ns, best.provisional)


def current(history: Sequence[Epoch], basis: Basis, now_s: float) -> CanaryReference:
    """The reference for a round that begins now; none where all readings are older than the horizon."""
    of_basis = [epoch for epoch in history if epoch.basis == basis]
    if not of_basis or now_s - of_basis[-1].until_s > HORIZON_S:
        return CanaryReference()
    return CanaryReference(of_basis[-1].reference_ns, of_basis[-1].provisional)


def recent(rounds: Sequence[CanaryRound], reference_ns: int | None) -> Recent | None:
    """Of the newest rounds of the newest one's basis, RECENT_ROUNDS over RECENT_SPAN_S; None where there are fewer."""
    newest = sorted(rounds, key=lambda canary_round: canary_round.at_s, reverse=True)
    taken: list[CanaryRound] = []
    for canary_round in newest:
        if canary_round.basis == newest[0].basis and canary_round.level_ns > 0:
            taken.append(canary_round)
            if len(taken) >= RECENT_ROUNDS and taken[0].at_s - canary_round.at_s >= RECENT_SPAN_S:
                break
    else:
        return None
    if not reference_ns:
        return None
    ratio = min((canary_round.level_ns / reference_ns for canary_round in taken), key=lambda value: max(value, 1 / value))
    return Recent(ratio, len(taken), taken[0].at_s - taken[-1].at_s)


def _of_one_basis(rounds: Sequence[CanaryRound], why: EpochCause, detail: str) -> Iterator[Epoch]:
    now = _Open(why, detail, rounds[0].at_s)
    for canary_round in rounds:
        following = now.take(canary_round)
        if following is not None:
            yield now.closed()
            now = following
    yield now.closed()


@dataclass(slots=True)
class _Open:
    """The epoch that is being told.  What `known` says stands from when it is established."""

    why: EpochCause
    detail: str
    since_s: float
    rounds: list[CanaryRound] = field(default_factory=list[CanaryRound])
    known: CanaryReference = CanaryReference()
    away: list[CanaryRound] = field(default_factory=list[CanaryRound])  # above OTHER_SPEED, in a row, up to now
    low: list[tuple[int, CanaryRound]] = field(default_factory=list[tuple[int, CanaryRound]])  # below it, by position

    def __post_init__(self) -> None:
        self.known = canary_reference(self.rounds)

    def closed(self) -> Epoch:
        """As the epoch that it was."""
        last = self.rounds[-1]
        reference = canary_reference(self.rounds) if self.known.provisional else self.known
        unproven = self.why == "slower" and last.at_s - self.since_s < SLOWER_PROVEN_S
        return Epoch(
            self.since_s,
            last.at_s,
            reference.reference_ns,
            reference.provisional or unproven,
            len(self.rounds),
            self.why,
            self.detail,
            last.basis,
        )

    def take(self, latest: CanaryRound) -> _Open | None:
        """One more round; the epoch after this one, where the round ends this one."""
        if self.rounds and (latest.at_s - self.rounds[-1].at_s > HORIZON_S or latest.at_s - self.since_s > HORIZON_S):
            return self._aged(latest)
        self.rounds.append(latest)
        if not self.known.provisional:
            return self._faster(latest) or self._slower(latest)
        # While nothing is established every look costs a sort: some hundred looks, however long it takes.
        if len(self.rounds) % (1 + len(self.rounds) // 64) == 0:
            self.known = canary_reference(self.rounds)
        return None

    def _aged(self, latest: CanaryRound) -> _Open:
        kept = [each for each in self.rounds if latest.at_s - each.at_s <= HORIZON_S]
        days = f"{HORIZON_S / 86_400:.0f} days"
        detail = f"from the {len(kept)} rounds of the last {days}" if kept else f"no round for {days}"
        return _Open("aged out", detail, latest.at_s, [*kept, latest])

    def _faster(self, latest: CanaryRound) -> _Open | None:
        known_ns = self.known.reference_ns or 0
        if latest.level_ns * OTHER_SPEED >= known_ns:
            return None
        self.low.append((len(self.rounds) - 1, latest))
        last = self.low[-MODE_ROUNDS:]
        levels = sorted(each.level_ns for _, each in last)
        span = len(self.rounds) - last[0][0]
        if len(last) < MODE_ROUNDS or span > MODE_ROUNDS / MODE_SHARE or levels[-1] > MODE_WIDTH * levels[0]:
            return None
        detail = f"{MODE_ROUNDS} of {span} rounds {_percent(levels[1], known_ns)} below {known_ns} ns"
        return self._split("faster", detail, last[0][0])

    def _slower(self, latest: CanaryRound) -> _Open | None:
        known_ns = self.known.reference_ns or 0
        if latest.level_ns <= OTHER_SPEED * known_ns:
            self.away.clear()
            return None
        self.away.append(latest)
        span_s = latest.at_s - self.away[0].at_s
        if len(self.away) < SLOWER_ROUNDS or span_s < SLOWER_SPAN_S:
            return None
        level_ns = canary_reference(self.away).reference_ns
        if level_ns is None:  # they do not agree
            return None
        seen = f"{len(self.away)} rounds over {span_s / 60:.0f} min"
        detail = f"{seen} {_percent(level_ns, known_ns)} above {known_ns} ns, none near it"
        return self._split("slower", detail, len(self.rounds) - len(self.away))

    def _split(self, why: EpochCause, detail: str, first: int) -> _Open:
        moved = self.rounds[first:]
        del self.rounds[first:]
        return _Open(why, detail, moved[0].at_s, moved)


def _percent(level_ns: int, known_ns: int) -> str:
    return f"{100 * abs(level_ns / known_ns - 1):.0f} %"
