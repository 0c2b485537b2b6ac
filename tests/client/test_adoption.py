"""What other processes left in a spool: it takes no room, and not many descriptors at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.proxy import Answer, Request, accepted, scripted
from client.test_spool import NOBODY, delivered, left_behind
from client.test_storm import adds_up
from forebay.client import Client
from forebay.client.limits import Policy
from forebay.client.segment import Segment
from forebay.client.spool import ADOPTED_FILES, OWN_FILES, SEGMENT_BYTES, Spool
from support.harness import wait_for

MIB = 1 << 20
FILES = 100


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def scattered(directory: Path) -> None:
    """As many processes leave it that each logged one event and were killed."""
    for number in range(FILES):
        spool = Spool(directory, MIB)
        place = spool.open("drain")
        assert spool.extend(place, spool.write(place, [b'{"message":"%d"}' % number]))
        place.segment.unsettled.add(place.number)
        spool.close()


@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest"])
def test_what_others_left_takes_no_room(tmp_path: Path, policy: Policy) -> None:
    left = 0
    for number in range(3):
        own = tmp_path / str(number)
        with_room = Client(NOBODY, spool=own, spool_bytes=MIB, policy="drop_newest", batch_events=50)
        while with_room.log("left", metadata={"filler": "x" * 1000}):
            left += 1
        with_room.close(0)
    spool = tmp_path / "spool"
    spool.mkdir()
    for path in tmp_path.glob("*/*.*"):
        path.rename(spool / path.name)
    client = Client(NOBODY, spool=spool, spool_bytes=MIB, policy=policy, block_seconds=0.01, batch_events=50)
    wait_for("the adoption", lambda: client.stats().recovered == left)
    assert client.stats().spool_bytes > 2 * MIB
    assert all(client.log("new") for _ in range(100))
    assert (client.stats().dropped, client.stats().pending) == (0, left + 100)
    for _ in range(2000):
        client.log("more", metadata={"filler": "x" * 1000})
    stats = client.stats()
    assert adds_up(stats)
    # Its own bound holds, and what it drops is its own.
    assert stats.dropped > 500
    assert client.close(0) == stats.pending
    rows, again = delivered(spool)
    assert rows.count("left") == left
    assert again.stats().recovered == stats.pending


def test_many_files_take_few_descriptors_and_all_are_delivered(tmp_path: Path) -> None:
    scattered(tmp_path)
    before = descriptors()
    client = Client(NOBODY, spool=tmp_path)
    wait_for("the adoption", lambda: client.stats().recovered == ADOPTED_FILES)
    # Theirs, the sender's, and one that is looked through.
    assert descriptors() <= before + ADOPTED_FILES + 4
    client.close(0)
    assert len(list(tmp_path.glob("*.spool"))) == FILES
    most = 0

    def answer(request: Request) -> Answer:
        nonlocal most
        most = max(most, descriptors())
        return accepted(request)

    with (
        scripted(answer) as server,
        Client(server.url, spool=tmp_path, connections=1) as client,
    ):
        assert client.flush() == 0
        assert (client.stats().recovered, client.stats().delivered) == (FILES, FILES)
    # With their ledgers, and the connection's two ends.
    assert most <= before + 2 * ADOPTED_FILES + 8
    assert list(tmp_path.iterdir()) == []


def test_a_large_spool_has_larger_files(tmp_path: Path) -> None:
    assert Spool(tmp_path, 256 * MIB)._segment_bytes == SEGMENT_BYTES
    assert Spool(tmp_path, 64 << 30)._segment_bytes * OWN_FILES == 64 << 30
    assert OWN_FILES * 2 + ADOPTED_FILES * 2 < 1024 / 4


def test_what_could_not_be_removed_is_removed_with_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, "left")

    with scripted(accepted) as server, Client(server.url, spool=tmp_path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "remove_if_settled", lambda *_: None)
            assert client.flush() == 0
            assert len(list(tmp_path.glob("*.spool"))) == 1
        client.look_for_orphans()
        wait_for("its removal", lambda: list(tmp_path.iterdir()) == [])
        assert client.stats().spool_bytes == 0


def test_a_file_is_given_up_at_once_but_not_by_the_child_of_a_fork(tmp_path: Path) -> None:
    """As long as another thread is in the middle of a sync the open file is there, as with a copy of its descriptor; so
    it is in a child."""
    for gives_up in (True, False):
        segment = Segment.create(tmp_path, str(gives_up))
        copy = os.dup(segment._descriptor)
        (segment.close if gives_up else segment.forget)()
        taken = Segment.adopt(segment.path)
        assert (taken is not None) is gives_up
        if taken is not None:
            taken.close()
        os.close(copy)
