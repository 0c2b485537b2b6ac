"""Consecutive records of one partition, as Python sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from forebay._forebay import RecordBatch
from forebay.embedded.decoding import decode

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from numpy.typing import NDArray


class _Values(Iterator[Any]):
    """An iterator of values. A generator would end at the first value that raises."""

    def __init__(self, batch: RecordBatch) -> None:
        self._batch = batch
        self._next = 0

    def __next__(self) -> Any:
        index = self._next
        if index >= len(self._batch):
            raise StopIteration
        self._next = index + 1
        return decode(self._batch.value(index))


class Records(Sequence[Any]):
    """`len(records)` consecutive records of one partition. Values are decoded on access. Offsets are dense except for
    `gaps`. It is empty when all records that a read found were damaged."""

    def __init__(self, batch: RecordBatch) -> None:
        self._batch = batch

    @property
    def partition(self) -> int:
        return self._batch.partition

    @property
    def next_offset(self) -> int:
        """The offset at which the next read goes on."""
        return self._batch.next_offset

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of offsets without a record, which is damaged, or lost or never there since a repair: the first
        offset, and the offset after the last."""
        return self._batch.gaps

    @property
    def records_lost(self) -> int:
        """The number of offsets in `gaps`. `next_offset` is behind them."""
        return sum(to - start for start, to in self._batch.gaps)

    @property
    def offsets(self) -> NDArray[numpy.int64]:
        """Offset of each record: int64, shape (n,), read-only, a view without a copy."""
        import numpy

        return numpy.frombuffer(self._batch.offsets, dtype=numpy.int64)

    @property
    def timestamps(self) -> NDArray[numpy.int64]:
        """Event time of each record in microseconds since 1970 UTC: int64, shape (n,), read-only, a view without a
        copy. `.view("datetime64[us]")` makes dates of it, without a copy too."""
        import numpy

        return numpy.frombuffer(self._batch.timestamps, dtype=numpy.int64)

    def places(self) -> list[int]:
        """Offset of each record, as Python's integers."""
        return self._batch.offsets.tolist()

    def timestamp(self, index: int) -> int:
        """Event time of the record at `index` in microseconds since 1970 UTC."""
        micros: int = self._batch.timestamps[self._place(index)]
        return micros

    def __repr__(self) -> str:
        return f"<Records of partition {self.partition}, {len(self)} of them, next offset {self.next_offset}>"

    def __len__(self) -> int:
        return len(self._batch)

    def __getitem__(self, index: Any) -> Any:
        """The decoded value at `index`, or a list of them for a slice.

        Raises:
            Malformed: the value cannot be decoded; `raw` returns its bytes. See `forebay.embedded.decoding`.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return decode(self._batch.value(self._place(index)))

    def __iter__(self) -> Iterator[Any]:
        """The decoded values. A value that cannot be decoded raises `Malformed`; the same iterator then goes on with
        the next one."""
        return _Values(self._batch)

    def raw(self, index: int) -> bytes:
        """The JSON of the value at `index`, as it was sent."""
        return self._batch.value(self._place(index))

    def key(self, index: int) -> bytes | None:
        return self._batch.key(self._place(index))

    def headers(self, index: int) -> dict[str, str]:
        packed = self._batch.headers(self._place(index))
        return msgspec.json.decode(packed, type=dict[str, str]) if packed else {}

    def ndjson(self) -> bytes:
        """One line of JSON for each record: `{"partition","offset","timestamp","key","value"}`."""
        return self._batch.ndjson()

    def to_arrow(self) -> pyarrow.RecordBatch:
        """The records as an Arrow batch: partition (int32), offset (int64), timestamp (microseconds, UTC), key
        (binary, null without one), headers (utf8, JSON, null without any), value (utf8, JSON).

        Raises:
            ImportError: pyarrow is not installed.
        """
        try:
            import pyarrow
        except ImportError:
            raise ImportError("to_arrow() needs pyarrow, which is not installed: pip install pyarrow") from None
        count = len(self)

        def column(kind: Any, name: str) -> Any:
            offsets, content, validity = self._batch.column(name)
            present = None if validity is None else pyarrow.py_buffer(validity)
            buffers = [present, pyarrow.py_buffer(offsets), pyarrow.py_buffer(content)]
            return pyarrow.Array.from_buffers(kind, count, buffers)

        utc = pyarrow.timestamp("us", tz="UTC")
        columns = {
            "partition": pyarrow.repeat(pyarrow.scalar(self.partition, pyarrow.int32()), count),
            "offset": pyarrow.array(self.offsets),
            "timestamp": pyarrow.array(self.timestamps).view(utc),
            "key": column(pyarrow.large_binary(), "key"),
            "headers": column(pyarrow.large_utf8(), "headers"),
            "value": column(pyarrow.large_utf8(), "value"),
        }
        return pyarrow.RecordBatch.from_pydict(columns)

    def _place(self, index: int) -> int:
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} of {length} records")
        return index % length
