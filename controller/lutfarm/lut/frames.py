"""Entries as data frames of other libraries, which are imported only here and only when asked for."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pandas and pyarrow carry no types.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lutfarm.lut.schema.columns import Columns
from lutfarm_jobs.extras import extras

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def pandas_frame(columns: Columns) -> pd.DataFrame:
    """As `pandas.read_parquet` reads a table's file.  Raises ExtraMissing where pandas is not installed."""
    with extras():
        import_module("pandas")  # pyarrow would, and say of a missing one that it is missing

        return columns.arrow.to_pandas()


def polars_frame(columns: Columns) -> pl.DataFrame:
    """As `polars.read_parquet` reads a table's file.  Raises ExtraMissing where polars is not installed."""
    with extras():
        import polars

    return polars.DataFrame(columns.arrow)
