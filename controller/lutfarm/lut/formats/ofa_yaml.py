"""The latency tables of once-for-all: `expand` in the key is the number of middle channels; count, mean, std in ms."""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm.lut.formats.known import TableFormat
from lutfarm.lut.formats.published import dump_published, marked
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.spaces.lut_keys import ofa_key


def dump(table: LatencyTable) -> bytes:
    """YAML text; see `dump_published` for what is left out."""
    return dump_published(table, ofa_key, _figures, name="once-for-all")


def _figures(rounds: int, mean_ms: float, std_ms: float) -> Mapping[str, float]:
    return {"count": rounds, "mean": mean_ms, "std": std_ms}


FORMAT = TableFormat(dump, marked=marked)
