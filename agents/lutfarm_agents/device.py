"""One registered piece of hardware, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm_agents.address import Address
from lutfarm_jobs.run import Environment

HERE = "local"
"""The host on which the farm's server or, without one, lutfarm itself runs."""


@dataclass(frozen=True, slots=True)
class Device:
    """One registered piece of hardware.

    `transport` names a line of lutfarm_agents.transports.registry, `address` is of its kind.
    """

    name: str  # the device's name, as in Measurement.device
    profile: str
    transport: str
    address: Address
    host: str = HERE  # that it hangs on
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def tools_only(self) -> bool:
        """Whether nothing of ours can run there, so that only native tools measure."""
        return not (self.address.here or self.address.python or self.address.bundle)


@dataclass(frozen=True, slots=True)
class Hello:
    """What the device said of itself when the session opened; all strings are checked and cut."""

    python: str  # empty where there is none
    machine: str  # x86_64, aarch64
    system: str  # Linux 6.1.0 ...
    cpu_model: str
    cpus: tuple[int, ...]
    memory_bytes: int
    machine_id: str  # equal for two devices that are the same hardware
    runner_sha256: str  # empty where there is no Python
    clock_resolution_ns: int | None  # None, here and below: no Python there, so nothing of ours reads a clock
    timer_pair_ns: int | None
    runtimes: Mapping[str, str]  # package name -> version
    governor: str = ""  # of the last core; empty where it can't be read
    environment: Environment | None = None  # when it said so
    remarks: tuple[str, ...] = ()  # what is unusual about the way there and is got round; see Transport
    cpus_off: tuple[int, ...] = ()  # that it has, and that are switched off: nothing is known of them
    word_bits: int = 0  # of the interpreter, or of the shell where there is none; 0: it does not say
    abi: str = ""  # for example arm-linux-gnueabihf
    libc: str = ""  # for example glibc 2.36
    agent_package: str = ""  # who adds the agent that told it, where that is another package


@dataclass(frozen=True, slots=True)
class Claim:
    """For whom a device's lock is taken."""

    device: str
    owner: str  # one `lutfarm run`: sessions of one owner share a machine
    holder: str  # readable, shown to others who wait
    farm_id: str  # which store's tokens may be compared
    token: int
