"""The lines of a spool's files, whole and damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.spools import spool_store
from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of
from forebay.client.spool.files import LINE_BYTES, BatchFile, LockedDirectory, pack, recover, unpack

payloads = st.lists(st.text(max_size=60).map(lambda text: json.dumps(text).encode()), max_size=12)


@given(payloads)
def test_what_is_packed_is_found(rows: list[bytes]) -> None:
    text = b"".join(map(pack, rows))
    assert unpack(text) == (rows, b"")
    assert len(text) == sum(map(len, rows)) + LINE_BYTES * len(rows)


@given(payloads, st.data())
def test_damage_takes_what_it_hits_and_nothing_else(rows: list[bytes], data: st.DataObject) -> None:
    """A line end that is hit takes the lines before and behind it."""
    lines = list(map(pack, rows))
    text = bytearray(b"".join(lines))
    hits = data.draw(st.lists(st.tuples(st.integers(0, max(len(text) - 1, 0)), st.integers(1, 255)), max_size=3))
    hit: set[int] = set()
    for at, change in hits if text else ():
        text[at] ^= change
        start = 0
        for number, line in enumerate(lines):
            if start <= at < start + len(line):
                hit |= {number, number + 1} if at == start + len(line) - 1 else {number}
            start += len(line)
    found, damaged = unpack(bytes(text))
    left = [row for number, row in enumerate(rows) if number not in hit]
    # Two changes of one byte may undo each other; nothing that was not written is ever read.
    assert [row for row in found if row in left] == left or len(found) >= len(left)
    assert all(row in rows for row in found)
    assert sum(map(len, found)) + LINE_BYTES * len(found) + len(damaged) == len(text)


@given(payloads, st.integers(0, 200))
def test_a_torn_tail_is_damage_at_the_end(rows: list[bytes], torn: int) -> None:
    text = b"".join(map(pack, rows))
    last = pack("ä".encode() * 120)
    cut = last[: min(torn, len(last) - 1)]
    assert unpack(text + cut) == (rows, cut)


@given(st.binary(max_size=400))
def test_any_bytes_can_be_unpacked(text: bytes) -> None:
    found, damaged = unpack(text)
    assert sum(map(len, found)) + LINE_BYTES * len(found) + len(damaged) == len(text)


def test_a_batch_comes_back_with_what_is_settled(tmp_path: Path) -> None:
    store, batch = spool_store(tmp_path), Batch(endpoint_of("publish:orders"), 0.0)
    events = [b'{"value":%d}' % number for number in range(5)]
    assert store.begin(batch)
    assert store.append(batch, events, 0)
    batch.count, batch.left = 5, 5
    store.seal(batch)
    store.cut(batch, {3, 2})
    batch.left = 3
    store.settle(batch, 0, 2)
    assert batch.file is not None
    path = batch.file.path
    store.close()
    directory = LockedDirectory.adopt(path.parent)
    assert directory is not None
    found, damaged = recover(directory, path)
    assert found is not None
    assert (found.endpoint.name, found.key, found.count, found.left) == ("publish:orders", batch.key, 5, 3)
    assert (found.parts(), found.read(), damaged) == ([(2, 3), (3, 5)], events, b"")


@pytest.mark.parametrize("first", [b"forebay-spool 3 drain", b"FBSPOOL1"])
def test_a_file_of_another_version_is_told_from_a_damaged_one(tmp_path: Path, first: bytes) -> None:
    directory, path = LockedDirectory.create(tmp_path / "1-a"), tmp_path / "1-a" / "00000001.batch"
    assert directory is not None
    path.write_bytes(pack(first) + pack(b"{}"))
    if first.startswith(b"forebay"):
        with pytest.raises(ValueError, match="is of version 3, this reads 2"):
            recover(directory, path)
    else:
        assert recover(directory, path) == (None, path.read_bytes())


def test_a_descriptor_is_closed_once_also_when_a_signal_handler_raises_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Exception):
        pass

    close = os.close

    def broken_off(descriptor: int) -> None:
        close(descriptor)
        raise Broken

    directory = LockedDirectory.create(tmp_path / "1-a")
    assert directory is not None
    file = BatchFile.create(directory, tmp_path / "1-a" / "00000001.batch", "drain")
    for broken in (file.close, directory.forget):
        with monkeypatch.context() as patch:
            patch.setattr(os, "close", broken_off)
            with pytest.raises(Broken):
                broken()
        # Its number is another file's by now.
        with open(tmp_path / "other", "wb") as other:
            broken()
            os.fstat(other.fileno())
