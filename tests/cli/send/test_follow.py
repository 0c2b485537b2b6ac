from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.proxy import Answer, Request, Scripted, accepted, scripted
from forebay.cli.send import FileFollower, Line, drain_of, path_watch
from forebay.cli.send.checkpoint import Checkpoint, CheckpointFile
from support.harness import event, wait_for


def text(*messages: object) -> bytes:
    return b"".join(json.dumps(event(str(message))).encode() + b"\n" for message in messages)


def append(path: Path, *messages: object) -> None:
    with path.open("ab") as file:
        file.write(text(*messages))


class Marks(CheckpointFile):
    """Knows whether a checkpoint was written before what was put aside was synced."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.unsynced = self.too_early = False

    def write(self, checkpoint: Checkpoint) -> None:
        self.too_early = self.too_early or self.unsynced
        super().write(checkpoint)


class Run:
    """A `FileFollower` in a thread of its own, and what it says."""

    def __init__(self, path: Path, url: str, quiet_seconds: float = 0) -> None:
        self.notices: list[str] = []
        self.rejected: list[int] = []
        self.checkpoints = Marks(path.with_suffix(".state"))
        self.following = FileFollower(
            path,
            self.checkpoints,
            drain_of(url, None),
            patience_seconds=None,
            keep=self._keep,
            sync=self._sync,
            notice=self.notices.append,
            quiet_seconds=quiet_seconds,
        )
        self.outcome = self.following.outcome
        self.thread = threading.Thread(target=self.following.run)
        self.thread.start()

    def _keep(self, line: Line, _reason: str) -> bool:
        self.rejected.append(line.number)
        self.checkpoints.unsynced = True
        return True

    def _sync(self) -> None:
        self.checkpoints.unsynced = False

    def known(self) -> set[int]:
        return self.following._watch.known

    def misses(self) -> bool:
        return self.following._watch._misses

    def seen(self) -> int:
        file = self.following._file
        return 0 if file is None else file.seen

    def stop(self) -> None:
        self.following.stop()
        self.thread.join()
        self.checkpoints.close()
        assert not self.checkpoints.too_early


@contextmanager
def follow(path: Path, url: str, quiet_seconds: float = 0) -> Iterator[Run]:
    run = Run(path, url, quiet_seconds)
    try:
        yield run
    finally:
        run.stop()


class Held:
    """A server's answer, which is held up until `go` is set."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer:
        self.asked.set()
        assert self.go.wait(30)
        return accepted(request)


def stored(server: Scripted) -> list[str]:
    return [one["message"] for request in server.seen for one in json.loads(request.body)["events"]]


def arrived(server: Scripted, count: int) -> None:
    wait_for(f"{count} events", lambda: len(stored(server)) >= count)


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def unanswered(path: Path) -> Request:
    """Follows until a first request came in; nobody answers."""
    asked = threading.Event()

    def no_answer(_: Request) -> Answer | None:
        asked.set()
        return None

    with scripted(no_answer) as server, follow(path, server.url):
        wait_for("a request", asked.is_set)
    return server.seen[0]


def test_a_batch_that_may_have_arrived_is_repeated_under_its_key_before_all_else(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, *range(3))
    first = unanswered(path)
    # More has come in the meantime: the batch that is repeated stays as it was.
    append(path, "more")
    for _ in range(2):
        again = unanswered(path)
        assert (again.key, again.body) == (first.key, first.body)
    with scripted(accepted) as server, follow(path, server.url) as run:
        arrived(server, 4)
    assert run.notices == []
    assert [(request.key == first.key, request.body == first.body) for request in server.seen] == [
        (True, True),
        (False, False),
    ]


def test_what_may_have_arrived_is_kept_by_a_run_that_ends_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, *range(3))
    unanswered(path)
    checkpoints = Marks(path.with_suffix(".state"))
    before = checkpoints.last
    assert before is not None
    assert before.pending is not None
    nowhere = drain_of("http://127.0.0.1:1", None)
    following = FileFollower(
        path, checkpoints, nowhere, patience_seconds=None, keep=lambda *_: True, notice=lambda _: None
    )
    following.stop()
    following.run()
    checkpoints.close()
    assert checkpoints.last == before


def test_a_batch_without_what_was_refused_is_repeated_so(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, *range(4))
    second = threading.Event()

    def refuse_one(request: Request) -> Answer | None:
        if b'"1"' in request.body:
            return Answer(400, b'{"error":"events[1].level: must not be empty","code":"malformed_request"}')
        second.set()
        return None

    with scripted(refuse_one) as server, follow(path, server.url) as run:
        wait_for("the rest", second.is_set)
        assert run.rejected == [2]
    rest = server.seen[1]
    with scripted(accepted) as server, follow(path, server.url) as run:
        arrived(server, 3)
        wait_for(
            "the checkpoint",
            lambda: run.checkpoints.last is not None and run.checkpoints.last.pending is None,
        )
    assert (server.seen[0].key, server.seen[0].body, run.rejected) == (rest.key, rest.body, [])
    assert stored(server) == ["0", "2", "3"]


def test_lines_are_numbered_within_the_file_also_when_it_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(text(0) + b"bad\n")
    with scripted(accepted) as server:
        with follow(path, server.url) as run:
            wait_for("the first", lambda: run.rejected == [2])
            with path.open("ab") as file:
                file.write(b"\nbad\n" + text(1))
            wait_for("the second", lambda: run.rejected == [2, 4])
            arrived(server, 2)
        with path.open("ab") as file:
            file.write(b"bad\n")
        with follow(path, server.url) as run:
            wait_for("the third", lambda: run.rejected == [6])


def truncated_while_a_batch_waits(path: Path, copies: Callable[[], object]) -> tuple[Scripted, Run]:
    append(path, *range(3))
    held = Held()
    with scripted(held) as server, follow(path, server.url) as run:
        wait_for("a request", held.asked.is_set)
        append(path, *range(3, 6))
        wait_for("a look", lambda: run.seen() == path.stat().st_size)
        copies()
        path.write_bytes(text(*range(6, 20)))
        held.go.set()
        wait_for("the last", lambda: "19" in stored(server))
    return server, run


def test_a_file_that_is_copied_and_truncated_while_a_batch_waits_is_read_on_in_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "log"
    server, run = truncated_while_a_batch_waits(path, lambda: shutil.copyfile(path, tmp_path / "log.1"))
    assert (stored(server), run.rejected, run.outcome.lost_bytes) == (names(20), [], 0)
    assert run.notices == [f"{path} was truncated, and is read from its beginning, after the rest of its copy {path}.1"]


def test_a_file_that_is_truncated_and_then_removed_while_a_batch_waits_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, 0, 1)
    held = Held()
    with scripted(held) as server, follow(path, server.url) as run:
        wait_for("a request", held.asked.is_set)
        append(path, 2)
        shutil.copyfile(path, tmp_path / "log.1")
        path.write_bytes(text(3, 4, 5))
        path.rename(tmp_path / "away")
        append(path, 6)
        wait_for("a look", lambda: path.stat().st_ino in run.known())
        (tmp_path / "away").unlink()
        held.go.set()
        arrived(server, 7)
    assert (stored(server), run.outcome.lost_bytes) == (names(7), 0)


def test_what_a_truncation_takes_is_said_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    server, run = truncated_while_a_batch_waits(path, lambda: None)
    assert (stored(server), run.rejected) == ([*names(3), *names(20)[6:]], [])
    lost = len(text(3, 4, 5))
    assert run.outcome.lost_bytes == lost
    assert run.notices == [
        f"{path} was truncated, and is read from its beginning; at least {lost} bytes that it had are lost"
    ]


def test_a_small_file_that_is_truncated_and_at_once_as_long_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, 0)
    with scripted(accepted) as server, follow(path, server.url) as run:
        wait_for(
            "the checkpoint",
            lambda: run.checkpoints.last is not None and run.checkpoints.last.offset == len(text(0)),
        )
        path.write_bytes(text(1, 2))
        arrived(server, 3)
        append(path, 3)
        arrived(server, 4)
    assert (stored(server), run.outcome.lost_bytes, len(run.notices)) == (names(4), 0, 1)


def test_a_file_that_is_copied_and_truncated_while_nothing_runs_is_read_on_in_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, *range(3))
    first = unanswered(path)
    append(path, *range(3, 6))
    for _ in range(2):
        if (tmp_path / "log.1").exists():
            (tmp_path / "log.1").rename(tmp_path / "log.2")
        shutil.copyfile(path, tmp_path / "log.1")
        had = int(json.loads(path.read_bytes().splitlines()[-1])["message"]) + 1
        path.write_bytes(text(*range(had, had + 9)))
    with scripted(accepted) as server, follow(path, server.url) as run:
        arrived(server, 24)
    assert (stored(server), run.notices, run.outcome.lost_bytes) == (names(24), [], 0)
    assert (server.seen[0].key, server.seen[0].body) == (first.key, first.body)


def compress(path: Path) -> None:
    times = path.stat()
    made = path.with_name(f"{path.name}.gz")
    made.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(made, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.unlink()


def test_files_that_are_compressed_while_a_batch_waits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, 0)
    held = Held()
    with scripted(held) as server, follow(path, server.url) as run:
        wait_for("a request", held.asked.is_set)
        for number in range(1, 6, 2):
            append(path, number)
            path.rename(tmp_path / f"log.{number}")
            append(path, number + 1)
            inode = path.stat().st_ino
            wait_for("a look", lambda inode=inode: inode in run.known())  # type: ignore[misc]
            compress(tmp_path / f"log.{number}")
        held.go.set()
        arrived(server, 7)
    assert (stored(server), run.notices, run.outcome.passed_over) == (names(7), [], 0)


def test_what_is_missed_since_too_many_files_wait_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_watch, "MAX_WAITING", 1)
    path = tmp_path / "log"
    append(path, 0)
    held = Held()
    with scripted(held) as server, follow(path, server.url) as run:
        wait_for("a request", held.asked.is_set)
        path.rename(tmp_path / "log.3")
        append(path, 1)
        wait_for("a look", lambda: path.stat().st_ino in run.known())
        path.rename(tmp_path / "log.2")
        append(path, 2)
        wait_for("a miss", run.misses)
        path.rename(tmp_path / "log.1")
        append(path, 3)
        modified = (tmp_path / "log.3").stat().st_mtime_ns
        for age, name in enumerate(("log.2", "log.1", "log"), 1):
            os.utime(tmp_path / name, ns=(modified + age, modified + age))
        compress(tmp_path / "log.1")
        held.go.set()
        arrived(server, 3)
    assert (stored(server), run.outcome.passed_over) == (["0", "1", "3"], 1)
    assert run.notices[0].endswith("log.1.gz")


@pytest.mark.parametrize("between", [["log.1"], []])
def test_files_that_are_compressed_while_nothing_runs_are_named(between: list[str], tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, "log.3")
    with scripted(accepted) as server:
        with follow(path, server.url) as run:
            arrived(server, 1)
            wait_for(
                "the checkpoint",
                lambda: run.checkpoints.last is not None and run.checkpoints.last.lines == 1,
            )
        path.rename(tmp_path / "log.3")
        modified = (tmp_path / "log.3").stat().st_mtime_ns
        for age, name in enumerate(("log.2", *between, "log"), 1):
            append(tmp_path / name, name)
            os.utime(tmp_path / name, ns=(modified + age, modified + age))
        compress(tmp_path / "log.2")
        with follow(path, server.url) as run:
            arrived(server, 2 + len(between))
    assert stored(server) == ["log.3", *between, "log"]
    assert (run.outcome.passed_over, len(run.notices)) == (1, 1)
    assert run.notices[0].startswith("passed over")
    assert run.notices[0].endswith("log.2.gz")


@pytest.mark.parametrize("sleeps", [False, True])
def test_files_that_were_last_written_to_at_one_time_are_each_read_once(sleeps: bool, tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, "log.4")
    with scripted(accepted) as server:
        with follow(path, server.url) as run:
            arrived(server, 1)
            wait_for("the checkpoint", lambda: run.checkpoints.last is not None and run.checkpoints.last.lines == 1)
        path.rename(tmp_path / "log.4")
        modified = (tmp_path / "log.4").stat().st_mtime_ns
        for name in ("log.3", "log.2", "log.1", "log"):
            append(tmp_path / name, name)
            os.utime(tmp_path / name, ns=(modified, modified))
        if sleeps:
            # It ends in the middle of them, and goes on from what it has noted.
            with follow(path, server.url):
                arrived(server, 3)
        with follow(path, server.url) as run:
            arrived(server, 5)
            wait_for("the last", lambda: run.checkpoints.last is not None and run.checkpoints.last.lines == 1)
    assert sorted(stored(server)) == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert run.notices == []


def test_what_was_followed_and_is_compressed_is_said_and_what_came_later_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, 0)
    with scripted(accepted) as server:
        with follow(path, server.url) as run:
            arrived(server, 1)
            wait_for(
                "the checkpoint",
                lambda: run.checkpoints.last is not None and run.checkpoints.last.offset == len(text(0)),
            )
            append(path, 1)
        modified = path.stat().st_mtime_ns + 10**9
        for age, name in enumerate(("log.2", "log.1", "log")):
            if age == 0:
                path.rename(tmp_path / name)
            else:
                append(tmp_path / name, age + 1)
            os.utime(tmp_path / name, ns=(modified + age, modified + age))
        compress(tmp_path / "log.2")
        with follow(path, server.url) as run:
            arrived(server, 3)
    assert stored(server) == ["0", "2", "3"]
    assert (run.outcome.passed_over, len(run.notices)) == (1, 2)
    assert "is gone" in run.notices[0]
    assert run.notices[1].endswith("log.2.gz")


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with scripted(accepted) as server, follow(path, server.url) as run:
        wait_for("a notice", lambda: len(run.notices) == 1)
        append(path, 0)
        arrived(server, 1)
    assert run.notices == [f"{path} is not there yet, and is waited for"]
