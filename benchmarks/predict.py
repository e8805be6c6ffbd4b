"""How fast tables predict and load: architectures a second, and entries a second, each as the best of some tries.

Ratios are to the plainest way to do the same in the same run: for predictions one gather of numpy over the layers x
choices matrix, for files the JSON format.  Latencies are made up, as no figure here depends on them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from _table import Report, options

from lutfarm.lut import Calibration, Entry, LatencyTable, Manifest, load, save
from lutfarm.lut.calibration.calibrated import composed
from lutfarm.lut.schema.calibration_record import Observed, calibration_of
from lutfarm_jobs import spaces
from lutfarm_jobs.spaces.base import Space

TARGET_PER_S = 5e6
TARGET_LOAD_S = 1.0
ENTRIES = 100_000
CALIBRATED_ON = 40
UNIT, BACKEND = "bench", "onnxruntime-cpu-t1-fp32"


def main() -> None:
    """Print the table."""
    chosen = options(__doc__)
    tries = 3 if chosen.quick else 7
    report = Report("predict", ["what", "count", "best seconds", "a second", "ratio", "target"])
    _predictions(report, tries, count=1_000_000)
    _files(report, 2 if chosen.quick else 5, count=ENTRIES)
    report.show(chosen)


def _predictions(report: Report, tries: int, *, count: int) -> None:
    dice = np.random.default_rng(1)
    for name in ("fbnet-224", "nas-bench-201-cifar10"):
        space = spaces.load(name)
        table = LatencyTable.of(_entries(_keys(space)), _manifest())
        archs = dice.integers(0, [len(layer.choices) for layer in space.layers], (count, len(space.layers)))
        small = archs.astype(np.int8)
        if space.additive:
            matrix, fixed = table.matrix(space), table.fixed_ns(space)
            rows = np.arange(len(space.layers))
            plain = _best(lambda m=matrix, a=archs, f=fixed, r=rows: m[r, a].sum(axis=1) + f, tries)
            one = [tuple(arch) for arch in archs[:1000].tolist()]
            calls = _best(lambda t=table, s=space, o=one: [t.predict(s, arch) for arch in o], tries)
        else:
            plain = calls = None
        ways: list[tuple[str, Callable[[], object], float | None]] = [
            ("int64, point", lambda t=table, s=space, a=archs: t.predict_many(s, a), TARGET_PER_S),
            ("int8, point", lambda t=table, s=space, a=small: t.predict_many(s, a), None),
            ("int64, interval", lambda t=table, s=space, a=archs: t.predict_many(s, a, interval=True), None),
        ]
        mended = table.with_calibrations([_calibration(table, space)])
        few = archs[:20_000]
        ways += [
            ("int64, point, calibrated", lambda t=mended, s=space, a=archs: t.predict_many(s, a), None),
            ("int64, interval, calibrated", lambda t=mended, s=space, a=few: t.predict_many(s, a, interval=True), None),
        ]
        for way, call, target in ways:
            size = len(few) if way == "int64, interval, calibrated" else count
            call()  # what is kept for a space is made by the first call
            seconds = _best(call, tries)
            wanted = f"{target:.0e} a second" if target and space.additive else ""
            per_s = size / seconds
            report.rows.append((f"{name}: {way}", size, seconds, per_s, plain and per_s * plain / count, wanted))
        if plain and calls:
            report.rows.append((f"{name}: numpy gather", count, plain, count / plain, 1.0, ""))
            per_call = 1000 / calls
            report.rows.append((f"{name}: predict, one by one", 1000, calls, per_call, per_call * plain / count, ""))


def _calibration(table: LatencyTable, space: Space) -> Calibration:
    """On networks that take what their operators do, and a little more."""
    seen = table.computed(space)
    return calibration_of(
        [
            Observed(arch, composed(seen, arch), 1.1 * table.predict(space, arch).estimate, 0.005)
            for arch in space.random(3, CALIBRATED_ON)
        ],
        space=space.name,
        device=UNIT,
        backend=BACKEND,
    )


def _files(report: Report, tries: int, *, count: int) -> None:
    table = LatencyTable.of(_entries(f"conv_H56_W56_Cin24_Cout{i}_k3_s1_g1_relu" for i in range(count)), _manifest())
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("json", "csv", "parquet"):
            path = Path(folder) / f"table.{suffix}"
            save(table, path)
            seconds[suffix] = _best(lambda p=path: load(p), tries)
            if load(path) != table:
                raise SystemExit(f"{suffix}: what was loaded differs from what was saved")
            report.notes.append(f"{suffix}: {path.stat().st_size / 1e6:.1f} MB")
    for suffix, took_s in seconds.items():
        target = f"below {TARGET_LOAD_S:g} s" if suffix == "parquet" else ""
        report.rows.append((f"load .{suffix}", count, took_s, count / took_s, seconds["json"] / took_s, target))
    began_s = time.perf_counter()
    len(table.entries)
    took_s = time.perf_counter() - began_s
    report.rows.append(("entries as values", count, took_s, count / took_s, None, ""))


def _best(call: Callable[[], object], tries: int) -> float:
    """The shortest of some calls, in seconds."""
    found: list[float] = []
    for _ in range(tries):
        began_s = time.perf_counter()
        call()
        found.append(time.perf_counter() - began_s)
    return min(found)


def _keys(space: Space) -> Iterable[str]:
    chosen = (operator for layer in space.layers for choice in layer.choices for operator, _ in choice.parts)
    every = (*space.operators(), *space.extras(), *(operator for operator, _ in space.fixed), *chosen)
    return dict.fromkeys(operator.key for operator in every if not operator.is_nothing)


def _entries(keys: Iterable[str]) -> Iterable[Entry]:
    dice = np.random.default_rng(2)
    for number, key in enumerate(keys):
        latency_ns = float(dice.uniform(1e4, 1e6))
        spread: dict[str, Any] = {
            name: latency_ns * factor
            for name, factor in (
                ("mean", 1.1),
                ("median", 1.05),
                ("p10", 0.98),
                ("p25", 1.0),
                ("p95", 1.5),
                ("min", 0.95),
                ("std", 0.2),
                ("contended_median", 1.6),
                ("load_ns", 40.0),
                ("first_inference_ns", 3.0),
            )
        }
        yield Entry(
            key=f"latency/operator:{key}/{UNIT}/{BACKEND}/b1-steady",
            workload=f"operator:{key}",
            device=UNIT,
            backend=BACKEND,
            kind="measured",
            statistic="p25_quiet",
            estimate=latency_ns,
            low=latency_ns * 0.985,
            high=latency_ns * 1.015,
            scope="sitting",
            rounds=5,
            iterations=2000,
            slices_kept=60,
            slices_rejected=4,
            variation=0.2,
            between_spread=0.013,
            within_spread=0.19,
            common_share=0.3,
            effective_iterations=700.0,
            canary_level=1.02,
            wall_over_cpu=1.0,
            peak_memory_bytes=90_000_000,
            flags=("converged", "reference_provisional"),
            fingerprint=f"{number:016x}",
            run_ids=tuple(f"{number:031x}{process}" for process in range(5)),
            **spread,
        )


def _manifest() -> Manifest:
    return Manifest("bench-0000000000", "bench", 1.8e9, "0")


if __name__ == "__main__":
    main()
