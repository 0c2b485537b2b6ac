"""What other processes left in a spool: it takes no room, and not many descriptors at a time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from client.proxy import Answer, Request, accepted, scripted
from client.spools import spool_store
from client.test_spool import NOBODY, delivered, left_behind
from client.test_storm import adds_up
from forebay.client import Client
from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of
from forebay.client.queue import Policy
from forebay.client.spool.files import BatchFile, LockedDirectory
from forebay.client.spool.store import ADOPTED_DIRECTORIES, OPEN_FILES
from support.harness import wait_for

MIB = 1 << 20
FILES = 100


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def scattered(directory: Path) -> None:
    """As many processes leave it that each logged one event and were killed."""
    for number in range(FILES):
        store, batch = spool_store(directory), Batch(endpoint_of("drain"), 0.0)
        assert store.begin(batch)
        assert store.append(batch, [b'{"message":"%d"}' % number], 0)
        store.close()


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
    for path in tmp_path.glob("[0-9]/*"):
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
    wait_for("the adoption", lambda: client.stats().recovered == ADOPTED_DIRECTORIES)
    # Theirs, the sender's, and one that is looked through.
    assert descriptors() <= before + ADOPTED_DIRECTORIES + 4
    client.close(0)
    assert len(list(tmp_path.glob("*/*.batch"))) == FILES
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
    # And the connection's two ends, and the file that is looked at.
    assert most <= before + ADOPTED_DIRECTORIES + 8
    assert list(tmp_path.iterdir()) == []


def test_many_streams_take_few_descriptors(tmp_path: Path) -> None:
    before = descriptors()
    with scripted(accepted) as server, Client(server.url, spool=tmp_path, linger_seconds=60) as client:
        for number in range(3 * OPEN_FILES):
            client.publish(f"stream-{number}", number)
        assert descriptors() <= before + OPEN_FILES + 24
        assert client.flush() == 0
        assert client.stats().delivered == 3 * OPEN_FILES
    assert list(tmp_path.iterdir()) == []


def test_while_nobody_is_free_to_send_batches_fill_up(tmp_path: Path) -> None:
    """Or hours without a server would leave a file for every tenth of a second."""
    client = Client(NOBODY, spool=tmp_path, linger_seconds=0.01)
    client.log("x")
    wait_for("a try", lambda: client.stats().retries > 0)
    for _ in range(20):
        client.log("x")
        time.sleep(0.02)
    assert len(list(tmp_path.glob("*/*.batch"))) == 2
    client.close(0)


def test_what_could_not_be_removed_is_removed_with_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, "left")

    def fails(_: BatchFile) -> None:
        raise OSError(5, "input/output error")

    with scripted(accepted) as server, Client(server.url, spool=tmp_path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(BatchFile, "remove", fails)
            assert client.flush() == 0
            assert len(list(tmp_path.glob("*/*.batch"))) == 1
        client._look_for_orphans()
        wait_for("its removal", lambda: list(tmp_path.iterdir()) == [])
        assert client.stats().spool_bytes == 0


def test_a_directory_is_given_up_at_once_but_not_by_the_child_of_a_fork(tmp_path: Path) -> None:
    """The open lock may be there for longer, as with a copy of its descriptor: in a child, or in another thread."""
    for gives_up in (True, False):
        directory = LockedDirectory.create(tmp_path / str(gives_up))
        assert directory is not None
        (directory.path / "left").touch()
        copy = os.dup(directory._lock)
        (directory.close if gives_up else directory.forget)()
        taken = LockedDirectory.adopt(directory.path)
        assert (taken is not None) is gives_up
        if taken is not None:
            taken.close()
        os.close(copy)
