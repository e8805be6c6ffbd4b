"""What a device is told to do next, before it is an order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the device and take its lock."""

    job: str  # which wants it first
    unit: str


@dataclass(frozen=True, slots=True)
class ProbeThese:
    """One throwaway child for each."""

    job: str
    unit: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasureThese:
    """One round: a fresh process for a chunk of one backend."""

    job: str
    unit: str
    keys: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the order that runs on the device."""

    unit: str
    order: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It is the job's turn, and what it does next needs a device that works or rests still: the others stay idle for it."""

    job: str


Step = Open | ProbeThese | MeasureThese
