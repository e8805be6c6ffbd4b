"""What lutfarm has to know of a way to reach devices: how its addresses are read and written, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lutfarm_agents.address import Address
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import SpecError

LONGEST_ROOT = 500
PLACE = ("root", "python", "bundle")
TOOL = "tool:"  # before a native tool's name, in a stored address


class Opener(Protocol):
    """From an address to its transport; nothing is connected yet."""

    def __call__(self, address: Address, *, root: str, state_dir: Path, cpus: frozenset[int] | None) -> Transport:
        """`root`: the folder on the device.  `state_dir`: the farm's own here.  `cpus`: the cores for a device that is here."""
        ...


@dataclass(frozen=True, slots=True)
class TransportKind:
    """A way to reach devices.

    `read` makes an address of the fields that a store holds or a person gave, without those that all addresses have; it
    raises SpecError, or NotReady for what has to be registered again.  `write` is its inverse.
    """

    address: type[Address]
    read: Callable[[Mapping[str, str]], Address]
    write: Callable[[Address], Mapping[str, str]]
    open: Opener
    root: str = ""
    """The folder on a device of which none is known."""


def only(fields: Mapping[str, str], *known: str) -> Mapping[str, str]:
    """The fields.  Raises SpecError where there is another than these."""
    if unknown := sorted(set(fields) - set(known)):
        raise SpecError(f"an address has no field {unknown[0][:40]!r}; it has {', '.join((*known, *PLACE))}")
    return fields


def checked_root(root: str, what: str, *, to_do: str = "") -> str:
    """A folder on a device.  Raises SpecError that begins with `what`, says what is wrong with it, and what to do."""
    wrong = [
        (not root.startswith("/"), "is not an absolute path"),
        (len(root) > LONGEST_ROOT, f"has more than {LONGEST_ROOT} characters"),
        (not root.isprintable(), "has a line break or another character that can't be printed"),
        (".." in root.split("/"), "has `..` in it"),
        # A loader reads them as something else: see lutfarm_agents.provisioning.bundle_layout.
        (any(character in root for character in ":;$"), "has one of : ; $ in it, which a bundle can't be started below"),
        (not root.strip("/"), "is the whole file system"),
    ]
    for is_wrong, why in wrong:
        if is_wrong:
            raise SpecError(f"{what} {root[:80]!r} {why}{to_do}")
    return root
