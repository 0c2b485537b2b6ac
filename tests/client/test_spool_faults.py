"""A spool that the operating system, or somebody else, keeps a client from using."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from client.proxy import Answer, accepted, scripted
from client.test_losses import Said, said
from client.test_spool import MIB, delivered, left_behind
from client.test_storm import adds_up
from forebay.client import Client, sender
from forebay.client.spool.files import BatchFile, LockedDirectory
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
