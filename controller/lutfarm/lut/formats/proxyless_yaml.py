"""The latency tables of ProxylessNAS: `expand` in the key is a ratio; count, mean in ms, var in ms squared."""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm.lut.formats.known import TableFormat
from lutfarm.lut.formats.published import dump_published, marked
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.spaces.lut_keys import proxylessnas_key


def dump(table: LatencyTable) -> bytes:
    """YAML text; see `dump_published` for what is left out."""
    return dump_published(table, proxylessnas_key, _figures, name="ProxylessNAS")


def _figures(rounds: int, mean_ms: float, std_ms: float) -> Mapping[str, float]:
    return {"count": rounds, "mean": mean_ms, "var": std_ms**2}


FORMAT = TableFormat(dump, marked=marked)
