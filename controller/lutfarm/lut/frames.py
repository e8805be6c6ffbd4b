"""Entries as data frames of other libraries, which are imported only here and only when asked for."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pandas and pyarrow carry no types.

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from lutfarm.lut.schema.columns import Columns
from lutfarm_jobs.errors import ExtraMissing

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def pandas_frame(columns: Columns) -> pd.DataFrame:
    """As `pandas.read_parquet` reads a table's file.  Raises ExtraMissing where pandas is not installed."""
    _need("pandas")
    return columns.arrow.to_pandas()


def polars_frame(columns: Columns) -> pl.DataFrame:
    """As `polars.read_parquet` reads a table's file.  Raises ExtraMissing where polars is not installed."""
    _need("polars")
    import polars

    return polars.DataFrame(columns.arrow)


def _need(name: str) -> None:
    if find_spec(name) is None:
        raise ExtraMissing(f"{name} is not installed where lutfarm is; pip install 'lutfarm[{name}]'")
