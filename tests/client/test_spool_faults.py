"""A spool that the operating system, or somebody else, keeps a client from using."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from client.proxy import Answer, accepted, scripted
from client.spools import spool_store
from client.test_losses import Said, said
from client.test_spool import MIB, NOBODY, delivered, left_behind
from client.test_storm import adds_up
from forebay.client import Client, sender
from forebay.client.batch import Batch
from forebay.client.endpoint import endpoint_of
from forebay.client.spool.files import BatchFile, LockedDirectory, pack, recover
from support.harness import wait_for

__all__ = ["said"]


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The error with which files cannot be read, while it has one."""
    fails: list[int] = []
    read = BatchFile.read

    def failing(file: BatchFile) -> list[bytes]:
        if fails:
            raise OSError(fails[0], os.strerror(fails[0]))
        return read(file)

    monkeypatch.setattr(BatchFile, "read", failing)
    monkeypatch.setattr(sender, "READ_AGAIN_SECONDS", 0.02)
    return fails


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOMEM])
@pytest.mark.parametrize("own", [False, True])
def test_what_cannot_be_read_now_waits_and_holds_nothing_up(
    tmp_path: Path, said: Said, unreadable: list[int], error: int, own: bool
) -> None:
    if not own:
        left_behind(tmp_path, *map(str, range(25)))
    unreadable.append(error)
    with scripted(accepted) as server:
        in_memory = 1 if own else MIB
        client = Client(server.url, spool=tmp_path, connections=1, linger_seconds=0.01, queue_bytes=in_memory)
        if own:
            client.log_many(map(str, range(25)))
        else:
            wait_for("the adoption", lambda: client.stats().recovered == 25)
            client.log("new")
            wait_for("the others", lambda: client.stats().delivered == 1)
        wait_for("some tries", lambda: os.strerror(error) in client.stats().last_error)
        stats = client.stats()
        assert (stats.rejected, stats.dropped, stats.pending) == (0, 0, 25)
        assert client.flush(0.1) == 25
        unreadable.clear()
        assert client.flush() == 0
        assert client.close() == 0
        assert (client.stats().delivered, client.stats().rejected) == (25 + (not own), 0)
    assert said.errors() == []
    assert len([r for r in said.records if "what is in it waits" in r.getMessage()]) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_at_the_end_is_left_to_the_next(tmp_path: Path, unreadable: list[int]) -> None:
    left_behind(tmp_path, "a", "b")
    unreadable.append(errno.EMFILE)
    with scripted(accepted) as server:
        client = Client(server.url, spool=tmp_path)
        wait_for("the adoption", lambda: client.stats().recovered == 2)
        assert client.close(0.1) == 2
    unreadable.clear()
    assert delivered(tmp_path)[0] == ["a", "b"]


@pytest.mark.parametrize("fault", ["removed", "damaged"])
def test_what_the_spool_has_lost_is_rejected_and_not_said_to_be_kept(tmp_path: Path, said: Said, fault: str) -> None:
    with scripted(lambda _: None) as server:
        client = Client(server.url, spool=tmp_path, connections=1, queue_bytes=1, batch_events=2)
        client.log_many([*"abcdef"])
        wait_for("the first try", lambda: len(server.seen) > 0)
        *_, last = sorted(tmp_path.glob("*/*.batch"))
        text = last.read_bytes()
        if fault == "removed":
            last.unlink()
        else:
            last.write_bytes(text[:-3])
        server.answer = accepted
        assert client.flush() == 0
        assert adds_up(client.stats())
        assert (client.stats().delivered, client.stats().rejected) == (4, 2)
    (error,) = said.errors()
    assert "only their number is kept" in error
    if fault == "damaged":
        (kept,) = tmp_path.glob("*.corrupt")
        assert kept.read_bytes() == text[:-3]
        assert str(kept) in error
    client.close()


def test_rejected_events_that_cannot_be_written_are_not_said_to_be(tmp_path: Path, said: Said) -> None:
    with (
        scripted(lambda _: Answer(422, b"{}")) as server,
        Client(server.url, rejected_file=tmp_path / "missing" / "rejected") as client,
    ):
        client.log("a")
        assert client.flush() == 0
    failure, error = said.errors()
    assert failure.startswith("cannot write")
    assert "they are lost, but for what on_rejected keeps: cannot write" in error


def test_a_directory_that_cannot_be_looked_through_is_given_up_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = LockedDirectory.create(tmp_path / "1-a")
    assert made is not None
    (made.path / "left").touch()

    def fails(_: Path) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("forebay.client.spool.files.Path.iterdir", fails)
        with pytest.raises(OSError, match="too many"):
            made.close()
    taken = LockedDirectory.adopt(made.path)
    assert taken is not None
    taken.close()


def noted(spool: Path, *notes: tuple[str, int, int]) -> Path:
    """The file of a batch of 20 events that were sent in parts, as a killed process leaves it."""
    store, batch = spool_store(spool), Batch(endpoint_of("track"), 0.0)
    assert store.begin(batch)
    assert store.append(batch, [b'{"user":{"id":"n%02d"}}' % number for number in range(20)], 0)
    batch.count = batch.left = 20
    store.seal(batch)
    for kind, start, end in notes:
        if kind == "cut":
            store.cut(batch, {start})
        else:
            store.settle(batch, start, end)
    assert batch.file is not None
    store.close()
    return batch.file.path


def users(spool: Path) -> tuple[list[int], Client]:
    with scripted(accepted) as server, Client(server.url, spool=spool, connections=1) as client:
        assert client.flush() == 0
        rows = [int(event["user"]["id"][1:]) for request in server.seen for event in json.loads(request.body)]
    assert adds_up(client.stats())
    assert client.stats().pending == 0
    assert list(spool.glob("*/*.batch")) == []
    return rows, client


NOTES = (("cut", 10, 0), ("cut", 15, 0), ("settled", 0, 10))


@pytest.mark.parametrize("damaged", [*range(20)])
def test_damage_of_an_event_does_not_shift_what_is_settled(tmp_path: Path, damaged: int) -> None:
    path = noted(tmp_path, *NOTES)
    path.write_bytes(path.read_bytes().replace(b"n%02d" % damaged, b"n\xff%d" % (damaged % 10)))
    assert users(tmp_path)[0] == [number for number in range(10, 20) if number != damaged]


@pytest.mark.parametrize("notes", [(b"cut 10",), (b"cut 15",), (b"cut 10", b"cut 15"), (b"cut 10", b"cut 15", b"n19")])
def test_a_damaged_cut_is_known_from_what_is_settled(tmp_path: Path, notes: tuple[bytes, ...]) -> None:
    path = noted(tmp_path, *NOTES)
    text = path.read_bytes()
    for note in notes:
        text = text.replace(note, b"\xff" + note[1:])
    path.write_bytes(text)
    rows, client = users(tmp_path)
    assert rows == list(range(10, 19 if b"n19" in notes else 20))
    assert client.stats().accepted == len(rows)


@pytest.mark.parametrize("damage", ["a settled note", "two lines in one", "an end beyond", "another number"])
def test_notes_that_do_not_tell_what_they_are_of_cost_no_event(tmp_path: Path, damage: str) -> None:
    path = noted(tmp_path, *NOTES)
    text = path.read_bytes()
    if damage == "a settled note":
        text = text.replace(b"settled 0", b"\xffettled 0")
    elif damage == "two lines in one":
        at = text.index(b"n03")
        text = text[: (end := text.index(b"\n", at))] + b"_" + text[end + 1 :]
    elif damage == "an end beyond":
        text += pack(b"settled 15 30 20")
    else:
        text += pack(b"settled 10 15 19")
    path.write_bytes(text)
    gone = (3, 4) if damage == "two lines in one" else ()
    assert users(tmp_path)[0] == [number for number in range(20) if number not in gone]


def test_what_is_recovered_with_damage_and_left_again_keeps_its_account(tmp_path: Path) -> None:
    """The notes of the second process count the events that it found."""
    path = noted(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"n03", b"n\xff3"))
    directory = LockedDirectory.adopt(path.parent)
    assert directory is not None
    batch, _ = recover(directory, path)
    assert batch is not None
    assert batch.file is not None
    batch.file.note("cut", 9, batch.count)
    batch.file.note("settled", 0, 9, batch.count)
    directory.close()
    assert users(tmp_path)[0] == list(range(10, 20))


def test_a_directory_that_cannot_be_locked_does_not_hold_up_those_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        left_behind(tmp_path, name)
    first, *_ = sorted(tmp_path.iterdir())
    locked = LockedDirectory._locked.__func__  # type: ignore[attr-defined]

    def locks(kind: type[LockedDirectory], path: Path, flags: int = 0) -> LockedDirectory | None:
        if path == first:
            raise PermissionError(errno.EACCES, "permission denied")
        return locked(kind, path, flags)  # type: ignore[no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(LockedDirectory, "_locked", classmethod(locks))
        rows, client = delivered(tmp_path)
    assert rows == ["b", "c"]
    assert first.name in client.stats().last_error
    assert delivered(tmp_path)[0] == ["a"]


def test_a_file_that_cannot_be_read_does_not_hold_up_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, *"abcdef", batch_events=2)
    first, *_ = sorted(tmp_path.glob("*/*.batch"))
    read_bytes = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path == first:
            raise OSError(errno.EIO, "input/output error")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        assert delivered(tmp_path)[0] == [*"cdef"]
    assert delivered(tmp_path)[0] == [*"ab"]


@pytest.mark.parametrize("own", [False, True])
def test_a_file_that_cannot_be_removed_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    if not own:
        left_behind(tmp_path, *"abcdef", batch_events=2)
    unlink, stuck = Path.unlink, "00000001.batch"

    def fails(path: Path, missing_ok: bool = False) -> None:
        if path.name == stuck:
            raise PermissionError(errno.EPERM, "operation not permitted")
        unlink(path, missing_ok)

    with scripted(accepted) as server, Client(server.url, spool=tmp_path, batch_events=2) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", fails)
            if own:
                client.log_many([*"abcdef"])
            assert client.flush() == 0
            assert [path.name for path in tmp_path.glob("*/*.batch")] == [stuck]
            assert client.stats().spool_errors <= 2
        client._queue.store.search()

        def is_gone() -> bool:
            # Its directory may go while it is looked into.
            with contextlib.suppress(FileNotFoundError):
                return list(tmp_path.glob("*/*.batch")) == []
            return False

        wait_for("its removal", is_gone)
        assert client.stats().spool_bytes == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("removed", ["its directory", "the spool"])
def test_a_spool_that_is_removed_under_a_client_is_made_anew(tmp_path: Path, removed: str) -> None:
    spool = tmp_path / "spool"
    with scripted(accepted) as server:
        client = Client(server.url, spool=spool)
        assert client.log("a")
        assert client.flush() == 0
        for path in [spool] if removed == "the spool" else list(spool.iterdir()):
            shutil.rmtree(path)
        assert [client.log(message) for message in "bcd"] == [True] * 3
        assert len(list(spool.glob("*/*.batch"))) == 1
        assert client.flush() == 0
        assert client.close() == 0
        assert (client.stats().delivered, client.stats().dropped, client.stats().spool_bytes) == (4, 0, 0)
    assert list(spool.iterdir()) == []


def test_what_waits_in_a_directory_that_is_removed_is_sent_from_memory(tmp_path: Path) -> None:
    with scripted(lambda _: None) as server:
        client = Client(server.url, spool=tmp_path, batch_events=2, connections=1)
        client.log_many([*"abc"])
        for path in list(tmp_path.iterdir()):
            shutil.rmtree(path)
        client.track("another batch")
        server.answer = accepted
        assert client.flush() == 0
        assert client.stats().delivered == 4
        assert client.close() == 0
    assert list(tmp_path.iterdir()) == []


def test_drops_for_want_of_room_are_told_so_at_the_end(said: Said) -> None:
    client = Client(NOBODY, queue_events=3, policy="drop_newest", exit_seconds=0)
    for number in range(8):
        client.log(str(number))
    wait_for("the first", lambda: len(said.errors()) == 1)
    for number in range(4):
        client.log(str(number))
    client.close(0)
    client.log("late")
    client.close(0)
    first, further, left, closed = said.errors()
    assert "no room" in first
    assert further.endswith("dropped since then, 9 in all")
    assert left.startswith("closed with 3 events")
    assert closed.startswith("1 event handed over after the client was closed")


def test_an_old_failure_of_the_spool_is_not_why_it_is_full(tmp_path: Path, said: Said) -> None:
    client = Client(NOBODY, spool=tmp_path, spool_bytes=MIB, policy="drop_newest", exit_seconds=0)
    client._queue.store.stats.errors = 1
    client._queue.store.stats.last_error = "a finished file cannot be removed: operation not permitted"
    while client.log("x" * 10_000):
        pass
    wait_for("the loss", lambda: len(said.errors()) == 1)
    assert "no room" in said.errors()[0]
    client.close()
