"""Entries, networks and a manifest as a table holds them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from lutfarm.lut import Entry, LatencyTable, Manifest, Network, TableBackend, TableDevice, Validation, compare
from lutfarm.lut.schema.figures import share
from lutfarm.lut.schema.validation_record import Calibrated

UNIT = "this-machine"
ORT = "onnxruntime-cpu-t1-fp32"
TFLITE = "tflite-cpu-t1-fp32"


def measured(name: str, estimate_ns: float, *, backend: str = ORT, share: float = 0.01, **changes: Any) -> Entry:
    """A measured operator whose interval is so large a share of its estimate, either side."""
    fields: dict[str, Any] = {
        "estimate": estimate_ns,
        "low": estimate_ns * (1 - share),
        "high": estimate_ns * (1 + share),
        "statistic": "p25_quiet",
        "scope": "sitting",
        "rounds": 5,
        "iterations": 4213,
        "slices_kept": 60,
        "flags": ("converged",),
    }
    return _entry(name, backend, "measured", fields | changes)


def zero(name: str) -> Entry:
    """Nothing by structure."""
    return _entry(name, ORT, "zero", {"estimate": 0.0, "low": 0.0, "high": 0.0})


def failed(name: str, code: str, detail: str) -> Entry:
    """A failure as a result."""
    return _entry(name, ORT, "failed", {"failure_code": code, "failure_detail": detail})


def _entry(name: str, backend: str, kind: Any, fields: dict[str, Any]) -> Entry:
    workload = name if ":" in name.partition("<")[0] else f"operator:{name}"
    fields.setdefault("fingerprint", "0" * 64)
    key = f"latency/{workload}/{UNIT}/{backend}/b1-steady"
    return Entry(**{"key": key, "workload": workload, "device": UNIT, "backend": backend, "kind": kind} | fields)


def operators(count: int, *, backend: str = ORT, seed: int = 1) -> list[Entry]:
    """From 20 us to 4 ms, with the flags that come up."""
    draw = random.Random(seed)
    flags = (
        ("converged",),
        ("converged",),
        ("converged", "reference_provisional"),
        ("not_precise",),
        ("converged", "contended"),
        ("no_quiet_window", "not_precise"),
    )
    return [
        measured(
            f"mbconv_H{draw.choice((112, 56, 28, 14, 7))}_Cin{draw.choice((16, 64, 184))}_K{draw.choice((3, 5))}_{i}",
            10 ** draw.uniform(4.3, 6.6),
            backend=backend,
            share=abs(draw.gauss(0, 0.012)) + 0.002,
            flags=draw.choice(flags),
        )
        for i in range(count)
    ]


def validation(count: int, *, seed: int = 2, calibrated: bool = False, **changes: Any) -> Validation:
    """Of networks predicted some percent too slow; calibrated, about right."""
    draw = random.Random(seed)
    found: list[Network] = []
    for _ in range(count):
        true = draw.uniform(8e6, 30e6)
        guess = true * (1.06 + draw.gauss(0, 0.03))
        name = ",".join(str(draw.randrange(9)) for _ in range(22))
        mended = true * (1 + draw.gauss(0, 0.01)) if calibrated else None
        found.append(
            Network(
                name,
                "validation",
                guess,
                guess * 0.985,
                guess * 1.015,
                true,
                true * 0.99,
                true * 1.01,
                "",
                mended,
                mended and mended * 0.97,
                mended and mended * 1.03,
            )
        )
    after = (
        Calibrated(
            8,
            compare([n.calibrated or 0.0 for n in found], [n.measured or 0.0 for n in found]),
            share([n.covered_calibrated for n in found]),
        )
        if calibrated
        else None
    )
    fields: dict[str, Any] = {
        "device": UNIT,
        "backend": ORT,
        "space": "fbnet-224",
        "figures": compare([n.predicted or 0.0 for n in found], [n.measured or 0.0 for n in found]),
        "coverage": share([n.covered for n in found]),
        "confidence": 0.95,
        "ceiling": compare([n.measured or 0.0 for n in found], [(n.measured or 0.0) * 1.004 for n in found]),
        "calibrated": after,
        "anchor_shift": None,
        "networks": tuple(found),
        "study_id": "demo-networks-0-1234567890",
        "seed": 0,
        "measured_s": 1_763_940_000.0,
        "scope": "sitting",
    }
    return Validation(**fields | changes)


def failing(found: Validation, *reasons: str) -> Validation:
    """With more networks that could not be measured."""
    lost = tuple(
        Network(f"lost-{at}", "validation", 1e7, 0.9e7, 1.1e7, None, failure=reason) for at, reason in enumerate(reasons)
    )
    return replace(found, networks=(*found.networks, *lost))


def manifest(**changes: Any) -> Manifest:
    """Of one machine with both runtimes."""
    fields: dict[str, Any] = {
        "job_id": "demo-1234567890",
        "job_name": "demo",
        "created_s": 1_763_940_000.0,
        "lutfarm_version": "0.1.0",
        "space": "fbnet-224",
        "devices": (
            TableDevice(
                UNIT,
                "generic-linux-x86_64",
                "A Processor @ 2.60GHz",
                "x86_64",
                "Linux 6.1.0",
                2,
                24 << 30,
                "CPython 3.11.7",
                "",
                1,
                75,
                {ORT: 3200},
            ),
        ),
        "backends": (
            TableBackend(ORT, "onnxruntime", versions={UNIT: "onnxruntime 1.30.0"}),
            TableBackend(TFLITE, "tflite", versions={UNIT: "ai-edge-litert 2.3.0"}),
        ),
        "protocol": {UNIT: {"passes": 12, "slice_ns": 400_000, "gate_ratio": 1.12}},
        "protocol_hash": "ab" * 32,
    }
    return Manifest(**fields | changes)


def table(*entries: Entry, **changes: Any) -> LatencyTable:
    """With a manifest of one machine."""
    return LatencyTable.of(entries, manifest(**changes))
