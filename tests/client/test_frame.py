"""The bytes of a spool, whole and damaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forebay.client.frame import (
    CUT,
    ENTRY_BYTES,
    EVENT,
    HEAD_BYTES,
    MARK,
    OPEN,
    SETTLED,
    Damage,
    Frame,
    pack,
    pack_entry,
    scan,
    scan_entries,
)

frames = st.lists(
    st.tuples(st.sampled_from([OPEN, EVENT]), st.integers(0, 2**32 - 1), st.text(max_size=60).map(str.encode)),
    max_size=12,
)


def read(text: bytes) -> list[tuple[int, int, bytes]]:
    found = [frame for frame in scan(text) if isinstance(frame, Frame)]
    return [(frame.kind, frame.batch, text[frame.start + HEAD_BYTES : frame.end]) for frame in found]


@given(frames)
def test_what_is_packed_is_found(rows: list[tuple[int, int, bytes]]) -> None:
    text = b"".join(pack(*row) for row in rows)
    assert read(text) == rows
    assert not [frame for frame in scan(text) if isinstance(frame, Damage)]


@given(frames, st.data())
def test_damage_takes_what_it_hits_and_nothing_else(rows: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    packed = [pack(*row) for row in rows]
    text = bytearray(b"".join(packed))
    hits = data.draw(st.lists(st.tuples(st.integers(0, max(len(text) - 1, 0)), st.integers(1, 255)), max_size=3))
    hit: set[int] = set()
    for at, change in hits if text else ():
        text[at] ^= change
        start = 0
        for number, frame in enumerate(packed):
            if start <= at < start + len(frame):
                hit.add(number)
            start += len(frame)
    found = read(bytes(text))
    left = [row for number, row in enumerate(rows) if number not in hit]
    # Two changes of one byte may undo each other; nothing that was not written is ever read.
    assert [row for row in found if row in left] == left or len(found) >= len(left)
    assert all(row in rows for row in found)
    covered = [(frame.start, frame.end) for frame in scan(bytes(text))]
    assert [start for start, _ in covered] == [0, *[end for _, end in covered][:-1]][: len(covered)]
    assert not covered or covered[-1][1] == len(text)


@given(frames, st.integers(0, 200))
def test_a_torn_tail_is_one_damage_at_the_end(rows: list[tuple[int, int, bytes]], torn: int) -> None:
    text = b"".join(pack(*row) for row in rows)
    last = pack(EVENT, 1, "ä".encode() * 120)
    cut = text + last[: min(torn, len(last) - 1)]
    assert read(cut) == rows
    bad = [frame for frame in scan(cut) if isinstance(frame, Damage)]
    assert bad == ([Damage(len(text), len(cut))] if len(cut) > len(text) else [])


@given(st.binary(max_size=400))
def test_any_bytes_can_be_scanned(text: bytes) -> None:
    assert sum(frame.end - frame.start for frame in scan(text)) == len(text)
    list(scan_entries(text))


def test_a_mark_in_the_noise_does_not_hide_a_frame() -> None:
    text = bytes([MARK]) * 40 + pack(EVENT, 7, b"{}") + bytes([MARK, EVENT]) * 3
    assert read(text) == [(EVENT, 7, b"{}")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SETTLED, CUT]), st.integers(0, 2**32 - 1), st.integers(0, 1000), st.integers(0, 1000)
        ),
        max_size=8,
    ),
    st.integers(0, ENTRY_BYTES - 1),
    st.data(),
)
def test_entries_survive_a_torn_tail_and_their_neighbours_damage(
    rows: list[tuple[int, int, int, int]], torn: int, data: st.DataObject
) -> None:
    text = b"".join(pack_entry(*row) for row in rows)
    assert list(scan_entries(text + b"\xff" * torn)) == rows
    if rows:
        at = data.draw(st.integers(0, len(text) - 1))
        broken = bytearray(text)
        broken[at] ^= 0x10
        lost = at // ENTRY_BYTES
        assert list(scan_entries(bytes(broken))) == rows[:lost] + rows[lost + 1 :]
