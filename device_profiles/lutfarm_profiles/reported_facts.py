"""What a device says of itself, and how much of it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

_LONGEST_TEXT = 200
_MOST_ENTRIES = 5_000
_MOST_CORES = 4_096
_COMPATIBLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*,[A-Za-z0-9.+_-]+")


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """As read from the device, hostile until checked here; what could not be read is left empty."""

    machine: str = ""  # uname -m
    properties: Mapping[str, str] = field(default_factory=dict[str, str])  # Android's getprop
    device_tree: tuple[str, ...] = ()  # model and compatible strings, the most specific first
    cpu_parts: tuple[str, ...] = ()  # "CPU part" or "model name" of /proc/cpuinfo
    cores: tuple[tuple[int, int | None], ...] = ()  # (cpu, its highest clock in kHz where that is readable)
    memory_bytes: int | None = None
    os: str = ""  # as /etc/os-release or ro.build.version.release names it
    transport: str = "local"
    capacities: Mapping[int, int] = field(default_factory=dict[int, int])  # cpu -> its cpu_capacity
    kinds: Mapping[int, str] = field(default_factory=dict[int, str])  # cpu -> its part or type
    off: tuple[int, ...] = ()  # cores that are switched off


def clean_facts(facts: DeviceFacts) -> DeviceFacts:
    """The part of the facts that can be true; what is too long, unprintable, negative or absurd is dropped.  Never raises."""
    return DeviceFacts(
        machine=_text(facts.machine),
        properties=_properties(facts.properties),
        device_tree=_texts(facts.device_tree),
        cpu_parts=_texts(facts.cpu_parts),
        cores=_cores(facts.cores),
        capacities={
            cpu: capacity
            for cpu, capacity in facts.capacities.items()
            if _whole(cpu, most=65_535, least=0) is not None and _whole(capacity, most=1_000_000) is not None
        },
        kinds={cpu: kind for cpu, kind in facts.kinds.items() if _whole(cpu, most=65_535, least=0) is not None and _text(kind)},
        off=tuple(cpu for cpu in facts.off if _whole(cpu, most=65_535, least=0) is not None)[:_MOST_CORES],
        memory_bytes=_whole(facts.memory_bytes, most=1 << 50),
        os=_text(facts.os),
        transport=_text(facts.transport),
    )


def tree_model(device_tree: Iterable[str]) -> str | None:
    """The model in clean device tree strings: the first that has not the form `vendor,kind`."""
    return next((entry for entry in device_tree if not _COMPATIBLE.fullmatch(entry)), None)


def tree_compatible(device_tree: Iterable[str]) -> list[str]:
    """The compatible strings among clean device tree strings, the most specific first."""
    return [entry for entry in device_tree if _COMPATIBLE.fullmatch(entry)]


def _text(value: object) -> str:
    # Device tree strings end in a NUL, command output in a line break; anything else that can't be printed is refused.
    if not isinstance(value, str) or len(value) > 2 * _LONGEST_TEXT:
        return ""
    plain = value.strip("\x00\r\n\t ")
    return plain if plain.isprintable() and len(plain) <= _LONGEST_TEXT else ""


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    texts = (_text(value) for value, _ in zip(values, range(_MOST_ENTRIES), strict=False))
    return tuple(dict.fromkeys(text for text in texts if text))


def _properties(values: Mapping[str, str]) -> dict[str, str]:
    pairs = ((_text(name), _text(value)) for (name, value), _ in zip(values.items(), range(_MOST_ENTRIES), strict=False))
    return {name: value for name, value in pairs if name and value}


def _whole(value: object, *, most: int, least: int = 1) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        return None
    return value


def _cores(values: Iterable[object]) -> tuple[tuple[int, int | None], ...]:
    clocks: dict[int, int | None] = {}
    for pair, _ in zip(values, range(_MOST_CORES), strict=False):
        if not isinstance(pair, tuple) or len(cast("tuple[object, ...]", pair)) != 2:
            continue
        cpu, khz = cast("tuple[object, object]", pair)
        number = _whole(cpu, most=65_535, least=0)
        if number is not None:
            clocks.setdefault(number, _whole(khz, most=20_000_000, least=1_000))
    return tuple(sorted(clocks.items()))
