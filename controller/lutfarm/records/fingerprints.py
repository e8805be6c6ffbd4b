"""Whether runs were made by the same software, in the same way: the one rule for whatever puts runs or tables together.  Pure.

A fingerprint (lutfarm_agents.fingerprint) holds what may change under the same measurement key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

# Devices of one kind are rarely updated in the same hour: kernels, interpreters, libraries and chips' names may differ.  What is
# measured with (runtime, runner, protocol, slicing, models) and how the device is set (governor, setting) may not.
BETWEEN_UNITS = frozenset({"os", "cpu_model", "python", "libc"})
# A table's networks are swept and its entries gated: two slicings on purpose.
BETWEEN_SLICINGS = frozenset({"slicing"})
# Each model file has its own.
BETWEEN_WORKLOADS = frozenset({"inputs", "space"})
LABELS_SHOWN = 3
VALUE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of the fingerprints that has several values: by value, whose it is.  None: they lack the field."""

    field: str
    values: Mapping[str | None, tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.field}: " + " and ".join(f"{shown(value)} ({_few(labels)})" for value, labels in self.values.items())


def disagreement(
    fingerprints: Iterable[tuple[str, Mapping[str, str]]], *, may_differ: Collection[str] = ()
) -> tuple[Difference, ...]:
    """The fields in which labelled fingerprints disagree, in the order of their appearance; empty where they all agree."""
    different: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for label, fingerprint in fingerprints:
        labels = different.setdefault(tuple(sorted(fingerprint.items())), [])
        if label not in labels:
            labels.append(label)
    if len(different) < 2:
        return ()
    found: list[Difference] = []
    known = [(dict(items), labels) for items, labels in different.items()]
    for field in dict.fromkeys(name for fingerprint, _ in known for name in fingerprint):
        values: dict[str | None, list[str]] = {}
        for fingerprint, labels in known:
            values.setdefault(fingerprint.get(field), []).extend(labels)
        if len(values) > 1 and field not in may_differ:
            found.append(Difference(field, {value: tuple(labels) for value, labels in values.items()}))
    return tuple(found)


def agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether runs of these two fingerprints may be put together."""
    return one == other or not disagreement((("", one), (" ", other)))


def words(differences: Iterable[Difference]) -> str:
    """All of them, in one line."""
    return "; ".join(map(str, differences))


def shown(value: str | None) -> str:
    """A value as it is printed."""
    return "nothing" if value is None else repr(value[:VALUE_CHARACTERS])


def _few(labels: Collection[str]) -> str:
    some = list(labels)[:LABELS_SHOWN]
    return ", ".join(some) + (f" and {len(labels) - len(some)} more" if len(labels) > len(some) else "")
