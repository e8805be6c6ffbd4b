"""A table that has of everything something, and how each kind of file is written and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.lut_kit import TFLITE, entry, failed, manifest, validation

from lutfarm.lut import LatencyTable, TableBackend, TableDevice
from lutfarm.lut.formats import csv as csv_format
from lutfarm.lut.formats import json as json_format
from lutfarm.lut.formats import parquet as parquet_format

OURS = ("json", "csv", "parquet")
_SEAM = b"\n(what lies beside it)\n"


def _both(one: LatencyTable) -> bytes:
    """A .csv and what lies beside it, as one content that can be cut and changed anywhere."""
    return csv_format.dump(one) + _SEAM + csv_format.dump_beside(one)


def _of_both(content: bytes) -> LatencyTable:
    entries, _, beside = content.partition(_SEAM)
    return csv_format.parse(entries, beside)


DUMP: dict[str, Callable[[LatencyTable], bytes]] = {"json": json_format.dump, "csv": _both, "parquet": parquet_format.dump}
PARSE: dict[str, Callable[[bytes], LatencyTable]] = {"json": json_format.parse, "csv": _of_both, "parquet": parquet_format.parse}
FULL = manifest(
    space="fbnet-224",
    devices=(TableDevice("desk", "generic", "CPU <b>", "x86_64", "Linux", 2, 8 * 10**9, call_floor_ns={"ort": 3000}),),
    backends=(TableBackend("onnxruntime-cpu-t1-fp32", "onnxruntime", versions={"desk": "onnxruntime 1.24.1"}),),
    protocol={"desk": {"passes": 12, "gate_ratio": 1.12}},
    protocol_hash="ab" * 8,
    validations=(validation([104.0, 190.0, 310.0], [101.0, 200.0, 300.0]),),
    missing=("latency/operator:x/desk/onnxruntime-cpu-t1-fp32/b1-steady",),
)
ZERO = replace(entry("nothing"), kind="zero", estimate=0.0, low=0.0, high=0.0, statistic="", flags=())
RICH = replace(
    entry("rich", 0.1 + 0.2, flags=("converged", "reference_provisional")),
    run_ids=("a" * 32, "b" * 32),
    peak_memory_bytes=2**53 + 1,
    temperature_low_c=-3.5,
    mean=1e-300,
    std=5e-324,
    load_ns=1.7976931348623157e308,
)


def table() -> LatencyTable:
    odd = failed("odd", "WorkloadFailed", "=cmd|' /C calc'!A0\n\"quoted\", comma, naïve 漢 \x00\r\n\t'")
    return LatencyTable.of([entry("a"), ZERO, odd, failed("empty", "Unstable", ""), RICH, entry("a", backend=TFLITE)], FULL)
