"""How far an entry can be believed, by its flags."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

Grade = Literal["precise", "provisional", "wide", "disturbed"]
GRADES: tuple[Grade, ...] = get_args(Grade)

DISTURBED = frozenset({"no_quiet_window", "rounds_disagree", "contended", "preempted", "drift", "throttled"})
PROVISIONAL = frozenset({"reference_provisional", "reference_stale"})


def grade_of(flags: Collection[str]) -> Grade:
    """The worst thing that the flags say: disturbed, wider than asked, provisional reference, or none of them."""
    if DISTURBED.intersection(flags):
        return "disturbed"
    if "converged" not in flags:
        return "wide"
    return "provisional" if PROVISIONAL.intersection(flags) else "precise"


def is_precise(flags: Collection[str]) -> bool:
    """Whether an entry is as narrow as its job asked for, and nothing disturbed it; its reference may be provisional."""
    return grade_of(flags) in ("precise", "provisional")
