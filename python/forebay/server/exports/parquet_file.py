"""A file of Parquet. Its index stands at its end, so one that was not finished is begun anew."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet

from forebay.embedded.conditions import Conditions, Reading, walk_request

if TYPE_CHECKING:
    from forebay._forebay import Engine, ExportColumns, SearchCancel

STEP_BYTES = 4 << 20
"""What one step reads: it is built in memory."""

GROUP_BYTES = 32 << 20
"""The texts of a row group, which is held in memory until it is written. Readers skip and load by the group."""

GROUP_ROWS = 1 << 20
"""The most rows of a group, however short."""

SCHEMA = pyarrow.schema(
    [
        pyarrow.field("timestamp", pyarrow.timestamp("us", tz="UTC"), nullable=False),
        *(
            pyarrow.field(name, pyarrow.string())
            for name in ("level", "service", "project_id", "message", "request_id", "user_id", "event_id", "metadata")
        ),
    ]
)
"""The columns; `metadata` is the JSON that was sent."""


class ParquetFile:
    """One that is being written."""

    def __init__(self, path: Path, check_room: Callable[[int], None]) -> None:
        """Begins a new file. `check_room` is called with the bytes that are about to be written, uncompressed.

        Raises:
            OSError
        """
        self._check_room = check_room
        self._file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b")
        self._writer: Any = pyarrow.parquet.ParquetWriter(self._file, SCHEMA, compression="zstd")
        self._pending: list[Any] = []
        self._rows = self._pending_bytes = 0

    def step(
        self,
        engine: Engine,
        conditions: Conditions,
        seconds: float,
        reading: Reading,
        owner: bytes,
        cancel: SearchCancel,
    ) -> bytes:
        """Takes one step of the export, and returns what the engine says of it.

        Raises:
            ForebayError, OSError, and what `check_room` raises
        """
        asked = walk_request(conditions, seconds, reading, STEP_BYTES)
        columns, told = engine.search_export_columns(asked, owner, cancel)
        if len(columns):
            batch = record_batch(columns)
            self._pending.append(batch)
            self._rows += len(columns)
            self._pending_bytes += batch.nbytes
        if self._pending_bytes >= GROUP_BYTES or self._rows >= GROUP_ROWS:
            self._write()
        return told

    @property
    def bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def sync(self) -> int:
        """Returns 0: nothing of the file can be relied on before its end."""
        return 0

    def finish(self) -> int:
        """Ends and syncs the file, and returns its length."""
        self._write()
        self._writer.close()
        os.fsync(self._file.fileno())
        return self.bytes

    def close(self) -> None:
        self._pending.clear()
        self._file.close()

    def _write(self) -> None:
        if self._pending:
            self._check_room(self._pending_bytes)
            self._writer.write_table(pyarrow.Table.from_batches(self._pending), row_group_size=2 * GROUP_ROWS)
        self._pending.clear()
        self._rows = self._pending_bytes = 0


def record_batch(columns: ExportColumns) -> Any:
    """The columns as an Arrow batch, which is made of their buffers as they are."""
    count = len(columns)
    times = pyarrow.Array.from_buffers(SCHEMA.types[0], count, [None, pyarrow.py_buffer(columns.timestamps)])
    arrays = [times]
    for _name, (offsets, content, validity) in columns.texts():
        present = None if validity is None else pyarrow.py_buffer(validity)
        buffers = [present, pyarrow.py_buffer(offsets), pyarrow.py_buffer(content)]
        arrays.append(pyarrow.Array.from_buffers(pyarrow.string(), count, buffers))
    return pyarrow.RecordBatch.from_arrays(arrays, schema=SCHEMA)
