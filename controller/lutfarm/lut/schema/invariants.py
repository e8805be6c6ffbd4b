"""What must hold of every entry of a table, wherever it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from lutfarm.lut.schema.columns import COLUMNS, Columns
from lutfarm.lut.schema.entry import KINDS
from lutfarm.lut.schema.manifest import Manifest
from lutfarm_jobs.errors import SpecError

BoolArray = NDArray[np.bool_]

MOST_LAYERS = 10_000  # of a calibration network


def check(columns: Columns) -> None:
    """Raises SpecError naming the first entry and what is wrong with it."""
    for problem, is_wrong in _rules(columns):
        wrong = np.flatnonzero(is_wrong)
        if len(wrong):
            row = int(wrong[0])
            raise SpecError(f"entry {row + 1} ({columns.texts('key')[row][:200]!r}): {problem}")


def check_manifest(manifest: Manifest, places: Collection[tuple[str, str]]) -> None:
    """Raises SpecError where a validation, a refusal or a calibration is of no place of the table, or stands twice."""
    for kind, records in (
        ("validation", manifest.validations),
        ("refusal", manifest.refusals),
        ("calibration", manifest.calibrations),
        ("lacking calibration", manifest.uncalibrated),
    ):
        names = Counter((one.device, one.backend, one.space) for one in records)
        for (device, backend, space), count in names.items():
            where = f"the {kind} of {device[:80]!r} with {backend[:80]!r} for {space[:80]!r}"
            if (device, backend) not in places:
                raise SpecError(f"{where} is of no device and backend that the table has entries of")
            if count > 1:
                raise SpecError(f"{where} stands twice")
    sizes = {(one.device, one.backend, one.space): len(one.networks) for one in manifest.calibrations}
    for one in manifest.validations:
        has = sizes.get((one.device, one.backend, one.space))
        if has is not None and one.calibrated is not None and one.calibrated.networks != has:
            raise SpecError(
                f"the validation for {one.space[:80]!r} is calibrated on {one.calibrated.networks} networks, the table on {has}"
            )
    for one in manifest.calibrations:
        if one.basis != "entries":
            raise SpecError(f"a calibration on {one.basis!r} has nothing to do with a table's entries; calibrate again")
        if seen := [n.arch for n in one.networks if not 0 < len(n.arch) <= MOST_LAYERS or min(n.arch) < 0]:
            raise SpecError(f"the calibration for {one.space[:80]!r} has a network that is none: {str(seen[0])[:80]}")


def _rules(columns: Columns) -> Iterator[tuple[str, BoolArray]]:
    for name, (_, optional) in COLUMNS.items():
        if not optional:
            yield f"{name} is missing", columns.nulls(name)
    yield "a name in flags or run_ids is empty, missing or holds white space", columns.odd_names()
    for name, (kind, _) in COLUMNS.items():
        if kind == "number":
            yield f"{name} is no finite number", ~columns.nulls(name) & ~np.isfinite(columns.numbers(name))
        if kind == "integer":
            yield f"{name} is below zero", columns.numbers(name) < 0
    yield from _meaning(columns)
    yield "its key stands twice", columns.repeated("key")


def _meaning(columns: Columns) -> Iterator[tuple[str, BoolArray]]:
    estimate, low, high = (columns.numbers(name) for name in ("estimate", "low", "high"))
    without = [columns.nulls(name) for name in ("estimate", "low", "high")]
    incomplete, present = np.logical_or.reduce(without), ~np.logical_and.reduce(without)
    has_code = ~columns.nulls("failure_code")
    measured, zero, failed = (columns.equal("kind", kind) for kind in KINDS)
    yield f"its kind is none of {', '.join(KINDS)}", ~(measured | zero | failed)
    yield "its quantity is not in ns", ~columns.equal("quantity_unit", "ns")
    confidence = columns.numbers("confidence")
    yield "confidence is not between 0 and 1", ~((confidence > 0) & (confidence < 1))
    yield "measured, but its estimate or interval is missing", measured & incomplete
    yield "measured, but its estimate is not above zero", measured & ~(estimate > 0)
    yield "its estimate lies outside its interval", measured & ~((low >= 0) & (low <= estimate) & (estimate <= high))
    yield "measured, but without a statistic", measured & columns.equal("statistic", "")
    yield "nothing by structure, but its estimate is not 0", zero & ~((estimate == 0) & (low == 0) & (high == 0))
    yield "failed, but it has an estimate", failed & present
    yield "failed, but without a failure code", failed & ~has_code
    yield "it has a failure code, but it did not fail", has_code & ~failed
