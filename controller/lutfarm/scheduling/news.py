"""What one turn of the loop has heard, as a value: all of it is stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm.agent_pool.interface import Event, Probed
from lutfarm.canary.history import Canary
from lutfarm.records.device_state import DeviceRecord
from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.statistics.comparisons.pairs import PairedRound


@dataclass(frozen=True, slots=True)
class News:
    """The pool's events, and what the store says to them."""

    events: Sequence[Event] = ()
    progress_of: Mapping[str, Mapping[str, MeasurementProgress]] = field(
        default_factory=dict[str, Mapping[str, MeasurementProgress]]
    )
    """By job and key, of units that have opened: what the store has."""
    refused: Mapping[str, Sequence[Probed]] = field(default_factory=dict[str, Sequence[Probed]])
    """By job: what fails on them without their being asked."""
    records: Sequence[DeviceRecord] = ()
    """Of units that have opened, and now and then of all: somebody may have taken one out of work."""
    given_back: Sequence[str] = ()
    """Units that were out of work, and may be used again."""
    lost: Sequence[str] = ()
    """Units whose lease has passed to another."""
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    """By unit: results that were not stored.  They are not among the events."""
    settled: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """By unit: ids of runs that are stored, or never will be; their hosts need not keep them."""
    canaries: Mapping[str, Canary] = field(default_factory=dict[str, Canary])
    """By unit that is held where its canary drifted, and has just measured."""
    paired_rounds: Mapping[str, Mapping[str, Mapping[str, PairedRound]]] = field(
        default_factory=dict[str, Mapping[str, Mapping[str, PairedRound]]]
    )
    """By job, key and run: a job's complete ones of the units that its strategy asked for, judged by what is known now."""
