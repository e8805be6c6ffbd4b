"""The head of the report: what a table's manifest says, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping

from lutfarm.lut.schema.manifest import Manifest, TableBackend, TableDevice
from lutfarm.report.wording import latency, printable, shortened

LONGEST = 400
COMPOSITIONS: Mapping[str, str] = {
    "isolated": "Every entry was measured alone, and a prediction is the sum of its operators’ entries: memory-layout "
    "conversions that vanish inside a network are counted, and a network’s colder weights are not.",
    "in_network": "Every operator was measured inside random networks, by the runtime’s own profiler; a prediction is the sum.",
    "solved": "Every operator was solved from whole random networks, since the runtime has no profiler: a line through what "
    "operators compute, and what each deviates from it by; a prediction is the sum. One operator is known much worse.",
    "sandwiched": "Every operator was measured between two thin 1×1 convolutions, and what those cost alone was taken off; a "
    "prediction is the sum. Its layout conversions are those of a network, its weights are still warmer.",
}

CONSTANTS: Mapping[str, Callable[[float], str]] = {
    "passes": lambda value: f"{value:g} passes a round",
    "slice_ns": lambda value: f"slices of {latency(value)}",
    "gate_ratio": lambda value: f"gate at {value:g} × the canary’s reference",
    "wait_ns": lambda value: f"waiting up to {latency(value)} for quiet",
    "long_ns": lambda value: f"swept above {latency(value)}",
}


def facts(manifest: Manifest, table_hash: str) -> list[tuple[str, str]]:
    """Name and value of everything that one needs to cite the table; what is not known is left out."""
    pairs = [
        *(pair for device in manifest.devices for pair in _device(device)),
        *(_backend(backend) for backend in manifest.backends),
        ("space", manifest.space or ""),
        ("job", manifest.job_id),
        ("table made", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.created_s))),
        ("protocol", "; ".join(_protocols(manifest))),
        ("made with", f"lutfarm {manifest.lutfarm_version}"),
        ("protocol hash", manifest.protocol_hash),
        ("table hash", table_hash),
    ]
    return [(printable(name), shortened(text, LONGEST)) for name, text in pairs if text]


def composition(name: str, statistics: Collection[str] = ()) -> str:
    """How a prediction is made of entries, in words; a name that is not known is quoted as it stands.

    `statistics`: of the operators' entries; of a table in two ways, for two runtimes, each is told.
    """
    ways = [way for way in ("in_network", "solved") if way in statistics]
    if name not in ("in_network", "solved") or not ways:
        return COMPOSITIONS.get(name, f"Composition: {printable(name)}.")
    if len(ways) == 1:
        return COMPOSITIONS[ways[0]]
    return " ".join(f"With the statistic {way}: {COMPOSITIONS[way]}" for way in ways)


def _device(device: TableDevice) -> Iterator[tuple[str, str]]:
    memory = _gib(device.memory_bytes) if device.memory_bytes else ""
    cores = f"{device.cpus} {'core' if device.cpus == 1 else 'cores'}" if device.cpus else ""
    yield f"device {device.device}", _joined(device.cpu_model, device.machine, cores, memory)
    governor = f"governor {device.governor}" if device.governor else "governor not readable"
    yield f"system of {device.device}", _joined(device.system, device.python, governor)
    floors = ", ".join(f"{latency(ns)} ({key})" for key, ns in sorted(device.call_floor_ns.items()))
    timer = f"timer {latency(device.timer_pair_ns)}" if device.timer_pair_ns else ""
    yield f"call path of {device.device}, not subtracted", _joined(floors, timer)


def _gib(size_bytes: int) -> str:
    """Two digits where it is small: a board with half of one has no `0 GiB`."""
    gib = size_bytes / 2**30
    return f"{gib:.0f} GiB" if gib >= 10 else f"{gib:.2g} GiB"


def _backend(backend: TableBackend) -> tuple[str, str]:
    versions = sorted({version for version in backend.versions.values() if version}) or [backend.runtime]
    threads = f"{backend.threads} {'thread' if backend.threads == 1 else 'threads'}"
    return f"backend {backend.key}", _joined(*versions, backend.provider, threads, backend.precision)


def _protocols(manifest: Manifest) -> Iterator[str]:
    """One for all devices, or one each where they differ."""
    plans = {device: words for device, plan in manifest.protocol.items() if (words := _protocol(plan))}
    alike = len(set(plans.values())) == 1
    for device, words in list(plans.items())[: 1 if alike else None]:
        yield words if alike else f"{device}: {words}"


def _protocol(constants: Mapping[str, int | float]) -> str:
    """The constants that tell most."""
    return ", ".join(words(constants[name]) for name, words in CONSTANTS.items() if name in constants)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
