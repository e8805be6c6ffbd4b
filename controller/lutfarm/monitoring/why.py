"""Why a job is where it is: for each of its devices what it waits for, and what comes next.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lutfarm.records.device_state import DeviceRecord
from lutfarm.records.job import JobState
from lutfarm.records.lease_holder import LeaseHolder
from lutfarm.scheduling.next_step import LONGEST_ROUND_S
from lutfarm_jobs.errors import RegistrationStale, is_a
from lutfarm_jobs.measurement import Measurement

FORWARD: Mapping[str, str] = {
    "quarantined": "mend it, then lutfarm device check NAME",
    "lost": "connect it, then run the job again, or lutfarm device check NAME",
    "maintenance": "lutfarm device release NAME when it may work again",
    "retired": "take it out of the job, or register it again",
}
"""By state: what brings a device back to work."""

BY_ITSELF = (
    "connect it, or start lutfarm host join on its host again: the farm tries it now and then, and the job goes on by itself"
)
"""Of one that is lost, for a job that a served farm goes on with."""

AS_IT_SAYS = "do as it says; lutfarm device check NAME alone would find the same"


def way_back(device: str, state: str, code: str, *, served: bool = False) -> str:
    """What brings a device back to work that is in a state of FORWARD; `code`: the class of the error that brought it there.

    `served`: a served farm goes on with the job that wants it.
    """
    text = AS_IT_SAYS if state == "quarantined" and is_a(code, RegistrationStale) else FORWARD[state]
    if served and state == "lost":
        text = BY_ITSELF
    return text.replace("NAME", device)


@dataclass(frozen=True, slots=True)
class Why:
    """One device of a job."""

    device: str
    state: str
    reason: str
    waits_for: str
    next: str
    next_s: float | None  # Unix time, where one is known
    done: int  # measurements that are precise enough, or have all their rounds
    failed: int
    left: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Of a job on a device that a served farm shares out among several, while it works for another."""

    ahead: Sequence[str] = ()  # the ids of more urgent jobs, and of older ones of its user, that lack runs there
    ahead_s: float | None = None  # how long those take at most, at the device's pace; None where that is not known

    @property
    def words(self) -> str:
        """What comes before it."""
        if not self.ahead:
            return f"its turn: device time decides among users of one priority, and a job has the device for {_TURN} at most"
        more = f" and {len(self.ahead) - 3} more" if len(self.ahead) > 3 else ""
        first = f"{', '.join(self.ahead[:3])}{more}, which {'comes' if len(self.ahead) == 1 else 'come'} before it"
        unknown = "; how long that takes is not known yet" if self.ahead_s is None else ""
        return f"its turn, once nothing is left there of {first}{unknown}"


def why(
    records: Iterable[DeviceRecord],
    plan: Sequence[Measurement],
    *,
    done: Collection[str],
    failed: Collection[str],
    job_id: str,
    holders: Mapping[str, LeaseHolder],
    rests: Mapping[str, float] | None = None,
    turns: Mapping[str, Turn] | None = None,
    now_s: float = 0.0,
    state: JobState = "open",
    served: bool = False,
) -> list[Why]:
    """`done` and `failed`: keys of measurements; `holders`: by device, who has its lease.

    `rests`: by device, when the cooldown after its last run is over; only of those where it is not.  `state`: the job's.
    `served`: it is in the queue of a served farm.
    `turns`: of the devices that the farm which has taken this job holds for another one of its jobs.
    """
    found: list[Why] = []
    for record in records:
        mine = [m.key for m in plan if m.device == record.device]
        bad = sum(key in failed for key in mine)
        good = sum(key in done and key not in failed for key in mine)
        left = len(mine) - bad - good
        turn = (turns or {}).get(record.device)
        waits_for, following, next_s = _next(
            record,
            holders.get(record.device),
            job_id,
            left=left,
            rests_until_s=(rests or {}).get(record.device),
            unheld=_GOES_ON if served and state == "open" else _UNHELD.get(state, _UNHELD["open"]),
            served=served,
            turn=turn and (turn.words, None if turn.ahead_s is None else now_s + turn.ahead_s),
        )
        found.append(Why(record.device, record.state, record.reason, waits_for, following, next_s, good, bad, left))
    return found


def _next(
    record: DeviceRecord,
    holder: LeaseHolder | None,
    job_id: str,
    *,
    left: int,
    rests_until_s: float | None,
    unheld: tuple[str, str],
    served: bool,
    turn: tuple[str, float | None] | None,
) -> tuple[str, str, float | None]:
    if left == 0:
        return "nothing", "it has all that this job asks of it", None
    if record.state in FORWARD:
        return _CAUSES[record.state], way_back(record.device, record.state, record.code, served=served), None
    if record.state == "cooling":
        return "a lower temperature", "it is looked at again", record.until_s
    if holder is None:
        return *unheld, None
    ours = holder.job_id == job_id
    if ours and record.until_s is not None:
        return "a link that failed", "it is tried again", record.until_s
    if ours and rests_until_s is not None:
        return "its cooldown", "its next order", rests_until_s
    if ours:
        return "its own run", "this job measures on it", None
    if turn is not None:
        return f"{holder.job_id}, for which {holder.words} works there", *turn
    return f"whoever holds it: {holder.words}", "its lease ends, unless it is renewed", holder.until_s


_TURN = f"about {LONGEST_ROUND_S:.0f} s"

_UNHELD: Mapping[JobState, tuple[str, str]] = {
    "open": ("a run of this job", "run the job's file again"),
    "queued": ("the served farm, which has not begun this job", "it begins when its turn comes"),
    "cancelled": ("nothing: the job was cancelled", "submit or run its file again for what is left"),
}
"""By the state of a job: what a device that nobody holds waits for, and what comes next; for other states as for an open one."""

_GOES_ON = ("the served farm, which goes on with this job", "it is taken when its turn comes")

_CAUSES: Mapping[str, str] = {
    "quarantined": "a passed check",
    "lost": "a link",
    "maintenance": "whoever holds it for maintenance",
    "retired": "nothing: it does not come back by itself",
}
