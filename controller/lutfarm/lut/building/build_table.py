"""A table of a job's entries as they were measured, each by itself.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from lutfarm.lut.building.measured_entries import entries_of
from lutfarm.lut.schema.manifest import Manifest
from lutfarm.lut.table import LatencyTable
from lutfarm.statistics import Target
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.run import Probe, Run


def build_table(
    measurements: Sequence[Measurement],
    runs: Iterable[Run],
    *,
    manifest: Manifest,
    probes: Mapping[str, Sequence[Probe]] | None = None,
    zeros: Collection[str] = (),
    target: Target | None = None,
    tools: Collection[str] = (),
) -> LatencyTable:
    """A table from what was planned and what came of it: see `entries_of`.

    What has neither a run nor a failure has no entry: its key is among the manifest's `missing`.
    """
    built = entries_of(measurements, runs, probes=probes or {}, zeros=zeros, target=target or Target(), tools=tools)
    return LatencyTable.of(built.entries, replace(manifest, missing=built.missing, fingerprints=built.fingerprints))
