"""What a table says of itself: devices, backends, pools, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lutfarm.lut.schema.calibration_record import Calibration
from lutfarm.lut.schema.validation_record import LATEST_S, Refusal, Uncalibrated, Validation
from lutfarm_jobs.errors import SpecError


@dataclass(frozen=True, slots=True)
class TableDevice:
    """One device as it described itself when it was measured."""

    device: str
    profile: str = ""
    cpu_model: str = ""
    machine: str = ""
    system: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    python: str = ""
    governor: str = ""
    clock_resolution_ns: int = 0
    timer_pair_ns: int = 0  # what reading the clock twice takes; not subtracted
    call_floor_ns: Mapping[str, int] = field(default_factory=dict[str, int])
    runner_sha256: str = ""


@dataclass(frozen=True, slots=True)
class TableBackend:
    """One backend, and which version of its runtime each device has."""

    key: str
    runtime: str
    provider: str = "cpu"
    threads: int = 1
    precision: str = "fp32"
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class DeviceEffect:
    """How one device of a pool differs with one backend: its latencies are `factor` times the mean device's."""

    device: str
    backend: str
    factor: float
    log_error: float  # standard error of the factor's logarithm
    anchors: int  # how many workloads it was fitted on


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool that has entries of its own: `name` stands for their device."""

    name: str  # pool:PROFILE
    profile: str
    replicate: str  # all: each device measured everything; share: see `effects`
    devices: tuple[str, ...]
    max_device_spread: float | None = None  # what the devices were allowed to differ by
    effects: tuple[DeviceEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a table comes from.

    `protocol` holds the fields of the Slicing by device; `protocol_hash` is of all of them.  `missing` are the
    measurements that the job planned and that have neither a run nor a failure.  `fingerprints`: what the hashes in
    `Entry.fingerprint` stand for; of a pool's entries the hash is of its devices' hashes, and not among them.
    """

    job_id: str
    job_name: str
    created_s: float  # Unix time
    lutfarm_version: str
    space: str | None = None
    devices: tuple[TableDevice, ...] = ()
    backends: tuple[TableBackend, ...] = ()
    protocol: Mapping[str, Mapping[str, int | float]] = field(default_factory=dict[str, Mapping[str, int | float]])
    protocol_hash: str = ""
    composition: str = "isolated"  # every entry was measured alone
    validations: tuple[Validation, ...] = ()  # by device, backend and space; none: never held against networks
    refusals: tuple[Refusal, ...] = ()  # why there is none, though networks were measured
    uncalibrated: tuple[Uncalibrated, ...] = ()  # why there is no calibration, though networks were measured for one
    calibrations: tuple[Calibration, ...] = ()  # by device, backend and space: predictions use them unless told not to
    missing: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # by workload key: each model file as the job names it
    pools: tuple[PoolFacts, ...] = ()
    fingerprints: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    def __post_init__(self) -> None:
        """Raises SpecError for a table that was made at no time."""
        if not 0 <= self.created_s <= LATEST_S:
            raise SpecError(f"created_s is {self.created_s!r}, no Unix time from 0 to {LATEST_S:.0f}")
