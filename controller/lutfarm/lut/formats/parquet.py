"""Parquet: for large tables.  The header is JSON in the schema's metadata, under the key `lutfarm`."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# pyarrow carries no types.

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from lutfarm.lut.formats.header import FORMAT as FORMAT_NAME
from lutfarm.lut.formats.header import checked_header, data_of, header_of, table_of, text_of
from lutfarm.lut.formats.known import TableFormat
from lutfarm.lut.schema.columns import Columns
from lutfarm.lut.table import LatencyTable
from lutfarm_jobs.errors import SpecError

KEY = b"lutfarm"
MOST_ENTRIES = 10_000_000
MOST_BYTES = 8 << 30  # unpacked: a small file may claim to be a huge one


def dump(table: LatencyTable) -> bytes:
    """A Parquet file."""
    sink = pa.BufferOutputStream()
    arrow = table.columns.arrow.replace_schema_metadata({KEY: text_of(header_of(table)).encode()})
    pq.write_table(arrow, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def parse(content: bytes) -> LatencyTable:
    """The inverse.  Raises SpecError."""
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            groups = (file.metadata.row_group(index) for index in range(file.num_row_groups))
            if file.metadata.num_rows > MOST_ENTRIES or sum(group.total_byte_size for group in groups) > MOST_BYTES:
                raise SpecError(f"more than {MOST_ENTRIES} entries, which is the most for a table")
            metadata = file.schema_arrow.metadata or {}
            if KEY not in metadata:
                raise SpecError("no table of lutfarm")
            header = checked_header(data_of(metadata[KEY]))
            arrow = file.read().replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a column's name that is no UTF-8
        raise SpecError(f"cut or no Parquet: {str(error)[:200]}") from error
    return table_of(header, Columns.of_arrow(arrow))


def marked(content: bytes) -> bool:
    """A Parquet file with our header in its metadata, which stands in its end as it is."""
    return content.startswith(b"PAR1") and f'"{FORMAT_NAME}"'.encode() in content


FORMAT = TableFormat(dump, parse, marked=marked)
