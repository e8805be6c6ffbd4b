"""The formats that tables have as files, a line each: see docs/extending.md for one from another package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.registry import Registry


@dataclass(frozen=True, slots=True)
class Beside:
    """A second file of a table: NAME + `ending` beside NAME.EXTENSION.  `parse` takes both files.

    Where there is one already it is replaced if the name of our format stands in its first 200 bytes, as it does in a header.
    """

    ending: str
    dump: Callable[[LatencyTable], bytes]
    parse: Callable[[bytes, bytes], LatencyTable]
    lost: str = ""
    """What a person who has the first file alone is told."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """From a table to the bytes of a file, and back where it can be read: by `parse`, or by that of what lies beside it.

    `dump` raises SpecError for a table that the format can't hold, either `parse` for what is cut, edited or too new: a file
    is hostile until it was checked.

    `marked`: whether the content of a file is such a table, however old or damaged, by a mark that `dump` leaves.  Nothing else
    that has the name is replaced; without it, only what `parse` takes, and without that nothing.
    """

    dump: Callable[[LatencyTable], bytes]
    parse: Callable[[bytes], LatencyTable] | None = None
    beside: Beside | None = None
    marked: Callable[[bytes], bool] | None = None

    @property
    def reads(self) -> bool:
        """Whether `load` takes its files."""
        return self.parse is not None or self.beside is not None


FORMATS = Registry(
    "lutfarm.table_formats",
    "table format",
    TableFormat,
    {
        "json": "lutfarm.lut.formats.json:FORMAT",
        "csv": "lutfarm.lut.formats.csv:FORMAT",
        "parquet": "lutfarm.lut.formats.parquet:FORMAT",
        "ofa.yaml": "lutfarm.lut.formats.ofa_yaml:FORMAT",
        "proxylessnas.yaml": "lutfarm.lut.formats.proxyless_yaml:FORMAT",
    },
    pattern=r"(?:[a-z][a-z0-9_]{0,39}\.)?[a-z][a-z0-9]{0,19}",
)
"""By name, which ends in the extension of its files; of several with one extension the first is meant, ours before others'."""


def extension(name: str) -> str:
    """Of the files of a format: `.yaml` of `ofa.yaml`."""
    return f".{name.rpartition('.')[2]}"
