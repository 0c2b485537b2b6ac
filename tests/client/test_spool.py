"""The spool's directory: what is in it, what becomes of damage, and what happens when it is full."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.proxy import Answer, Request, accepted, scripted
from client.test_storm import adds_up
from forebay.client import Client, Rejection
from forebay.client.queue import Policy
from forebay.client.spool.files import LOCK, pack
from support.harness import wait_for

NOBODY = "http://127.0.0.1:1"
MIB = 1 << 20
ENTRY_BYTES = 14


def left_behind(spool: Path, *messages: str, batch_events: int = 10, **options: Any) -> None:
    """As a process leaves it that never reached a server."""
    client = Client(NOBODY, spool=spool, batch_events=batch_events, **options)
    client.log_many(messages)
    # It may have adopted what an earlier one left.
    assert client.close(0) - client.stats().recovered == len(messages)


def delivered(spool: Path) -> tuple[list[str], Client]:
    with scripted(accepted) as server, Client(server.url, spool=spool, connections=1) as client:
        assert client.flush() == 0
        rows = [event["message"] for request in server.seen for event in json.loads(request.body)["events"]]
    return rows, client


def files(spool: Path) -> list[str]:
    return sorted(path.suffix for path in spool.iterdir())


def test_an_event_is_in_the_file_before_the_call_returns(tmp_path: Path) -> None:
    client = Client(NOBODY, spool=tmp_path)
    for number in range(3):
        client.log(f"number {number}")
        (path,) = tmp_path.glob("*/*.batch")
        assert f"number {number}".encode() in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        assert client.stats().spool_bytes == path.stat().st_size
    client.close(0)


def test_what_is_left_is_delivered_in_its_order_and_removed(tmp_path: Path) -> None:
    left_behind(tmp_path, "a", "b", "c")
    left_behind(tmp_path, *map(str, range(25)))
    rows, client = delivered(tmp_path)
    assert rows == ["a", "b", "c", *map(str, range(25))]
    stats = client.stats()
    assert (stats.accepted, stats.recovered, stats.delivered, stats.spool_bytes) == (28, 28, 28, 0)
    assert files(tmp_path) == []


def test_who_sends_it_again_uses_the_same_keys_and_bytes(tmp_path: Path) -> None:
    left_behind(tmp_path, *map(str, range(25)))
    left_behind(tmp_path, *map(str, range(15)), batch_events=15)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    sent = []
    for _ in range(3):
        with scripted(accepted) as server, Client(server.url, spool=tmp_path) as client:
            assert client.flush() == 0
            sent.append({(request.key, request.body) for request in server.seen})
        assert files(tmp_path) == []
        # As after a power failure that forgets what was settled.
        for path, text in kept.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text)
    assert len(sent[0]) == len({key for key, _ in sent[0]}) == 4
    assert sent == [sent[0]] * 3


def test_parts_of_a_split_batch_keep_their_keys(tmp_path: Path) -> None:
    """Killed between two parts: what was stored is not sent again, and what is unknown goes under its old key."""
    seen: dict[str, bytes] = {}

    def answer(request: Request) -> Answer | None:
        assert seen.setdefault(request.key, request.body) == request.body
        numbers = [int(event["user"]["id"]) for event in json.loads(request.body)]
        if len(numbers) > 1 and 3 in numbers:
            return Answer(400, json.dumps({"error": f"[{numbers.index(3)}].x: bad"}).encode())
        return None if 4 in numbers else accepted(request)

    with scripted(answer) as server:
        client = Client(server.url, spool=tmp_path, connections=1)
        for number in range(6):
            client.track("view", user=str(number))
        assert client.close(0.5) == 2
    first = dict(seen)
    with scripted(lambda request: seen.__setitem__(request.key, request.body)) as server:
        seen.clear()
        client = Client(server.url, spool=tmp_path)
        wait_for("the part", lambda: len(seen) > 0)
        client.close(0)
    assert len(seen) == 1
    assert seen.items() <= first.items()


def test_a_corrupt_tail_is_put_aside_and_counted(tmp_path: Path) -> None:
    left_behind(tmp_path, "a", "b", "c")
    (path,) = tmp_path.glob("*/*.batch")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    rows, client = delivered(tmp_path)
    assert rows == ["a", "b"]
    (corrupt,) = tmp_path.glob("*.corrupt")
    assert client.stats().corrupt_bytes == len(corrupt.read_bytes()) > 10
    assert "damaged bytes were put aside" in client.stats().last_error
    assert files(tmp_path) == [".corrupt"]
    assert whole.endswith(corrupt.read_bytes() + whole[-5:])


def test_a_hole_in_the_middle_takes_one_event(tmp_path: Path) -> None:
    left_behind(tmp_path, *map(str, range(30)))
    path = next(path for path in tmp_path.glob("*/*.batch") if b'"message":"17"' in path.read_bytes())
    text = bytearray(path.read_bytes())
    at = text.index(b'"message":"17"')
    text[at] ^= 1
    path.write_bytes(text)
    rows, client = delivered(tmp_path)
    assert rows == [str(number) for number in range(30) if number != 17]
    assert client.stats().corrupt_bytes == sum(len(path.read_bytes()) for path in tmp_path.glob("*.corrupt"))


def test_a_mismatch_of_a_recovered_batch_means_the_server_has_the_whole(tmp_path: Path) -> None:
    left_behind(tmp_path, "a", "b", "c")
    (path,) = tmp_path.glob("*/*.batch")
    path.write_bytes(path.read_bytes()[:-1])
    with scripted(lambda _: Answer(422, b'{"error":"another body"}')) as server:
        with Client(server.url, spool=tmp_path) as client:
            assert client.flush() == 0
        assert (client.stats().delivered, client.stats().rejected) == (2, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_never_ends_a_client_and_never_makes_events_up(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    spool = tmp_path_factory.mktemp("spool")
    messages = [f"message {number}" for number in range(12)]
    left_behind(spool, *messages, batch_events=5, linger_seconds=60)
    path = data.draw(st.sampled_from(sorted(spool.glob("*/*.batch"))))
    text = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(text[: data.draw(st.integers(0, len(text)))])
    rows, client = delivered(spool)
    assert [message for message in messages if message in rows] == rows
    assert adds_up(client.stats())


@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest"])
def test_a_full_spool_gives_as_the_policy_says(tmp_path: Path, policy: Policy) -> None:
    client = Client(NOBODY, spool=tmp_path, spool_bytes=MIB, policy=policy, block_seconds=0.01, batch_events=50)
    for number in range(5000):
        client.log(f"{number}", metadata={"filler": "x" * 400})
        assert client.stats().spool_bytes <= MIB
    stats = client.stats()
    assert adds_up(stats)
    assert stats.accepted == 5000
    assert stats.dropped > 2000
    left = client.close(0)
    rows, _ = delivered(tmp_path)
    assert len(rows) == left == stats.pending
    numbers = list(map(int, rows))
    if policy == "drop_oldest":
        assert numbers[-1] == 4999
        assert numbers[left // 2 :] == list(range(5000 - (left - left // 2), 5000))
    else:
        assert numbers == list(range(left))


def test_blocking_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    with scripted(accepted) as server, Client(server.url, spool=tmp_path, spool_bytes=MIB, batch_events=50) as client:
        for number in range(10_000):
            assert client.log(f"{number}", metadata={"filler": "x" * 400})
        assert client.flush() == 0
        assert client.stats().delivered == 10_000
    assert files(tmp_path) == []


def test_batches_beyond_the_memory_bound_are_read_back(tmp_path: Path) -> None:
    client = Client(NOBODY, spool=tmp_path, queue_bytes=1000, batch_events=10)
    client.log_many(map(str, range(1000)))
    for number in range(5):
        client.publish("orders", number)
    queue = client._queue
    assert sum(batch.events is not None for batch in queue._live) < 5
    client.close(0)
    rows, _ = delivered_all(tmp_path)
    assert rows == 1005


def delivered_all(spool: Path) -> tuple[int, Client]:
    with scripted(accepted) as server, Client(server.url, spool=spool) as client:
        assert client.flush() == 0
    return client.stats().delivered, client


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """While its one element is set, writes of more than an entry stop halfway and then fail."""
    full = [False]
    real = os.write

    def write(descriptor: int, text: bytes) -> int:
        if full[0] and len(text) > ENTRY_BYTES:
            return real(descriptor, text[: len(text) // 2])
        if full[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(descriptor, text)

    monkeypatch.setattr("forebay.client.spool.files.os.write", write)
    yield full
    full[0] = False


def test_a_full_disk_drops_and_counts_and_leaves_whole_frames(tmp_path: Path, full_disk: list[bool]) -> None:
    client = Client(NOBODY, spool=tmp_path)
    assert client.log("before")
    full_disk[0] = True
    assert not client.log("lost")
    assert client.log_many(["lost"] * 3) == 3
    assert not client.publish("orders", 1)
    full_disk[0] = False
    assert client.log("after")
    stats = client.stats()
    assert (stats.accepted, stats.dropped, stats.pending, stats.spool_errors) == (7, 5, 2, stats.spool_errors)
    assert stats.spool_errors > 0
    assert "no space left" in stats.last_error
    client.close(0)
    rows, again = delivered(tmp_path)
    assert rows == ["before", "after"]
    assert again.stats().corrupt_bytes == 0


def test_files_of_another_version_are_left_as_they_are(tmp_path: Path) -> None:
    left_behind(tmp_path, "a")
    (path,) = tmp_path.glob("*/*.batch")
    _, _, events = path.read_bytes().partition(b"\n")
    path.write_bytes(pack(b"forebay-spool 3 drain") + events)
    rows, client = delivered(tmp_path)
    assert (rows, client.stats().accepted) == ([], 0)
    assert "is of version" in client.stats().last_error
    assert path.exists()


def test_leftovers_of_nothing_are_cleared_away(tmp_path: Path) -> None:
    for name in ("1-a.making", "2-b", "3-c"):
        (tmp_path / name).mkdir()
        if name != "3-c":
            (tmp_path / name / LOCK).touch()
    delivered(tmp_path)
    assert files(tmp_path) == []


def test_rejected_events_of_a_spool_are_kept_in_a_file(tmp_path: Path) -> None:
    told: list[Rejection] = []
    refusal = Answer(401, b'{"error":"who are you"}')
    with (
        scripted(lambda _: refusal) as server,
        Client(server.url, spool=tmp_path, on_rejected=told.append) as client,
    ):
        client.log("a")
        assert client.flush() == 0
    (row,) = [json.loads(line) for line in (tmp_path / "rejected.ndjson").read_text().splitlines()]
    assert (row["event"]["message"], row["reason"]) == ("a", "401: who are you")
    assert len(told) == 1


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The sizes that files had when they were synced, by their inodes."""
    sizes: dict[int, int] = {}
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        real(descriptor)
        sizes[status.st_ino] = status.st_size

    monkeypatch.setattr("forebay.client.spool.files.os.fdatasync", fdatasync)
    return sizes


def test_a_batch_is_synced_before_it_is_sent(
    tmp_path: Path, synced: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.client.spool.worker.SYNC_SECONDS", 60)
    unsynced: list[bool] = []

    def answer(request: Request) -> Answer:
        (path,) = tmp_path.glob("*/*.batch")
        status = path.stat()
        unsynced.append(synced.get(status.st_ino) != status.st_size)
        return accepted(request)

    with scripted(answer) as server, Client(server.url, spool=tmp_path, linger_seconds=0) as client:
        for number in range(3):
            client.log(str(number))
            assert client.flush() == 0
    assert unsynced == [False] * 3


def test_what_waits_is_synced_soon(tmp_path: Path, synced: dict[int, int]) -> None:
    client = Client(NOBODY, spool=tmp_path, linger_seconds=60)
    for number in range(3):
        client.log(str(number))
        written = client.stats().spool_bytes
        wait_for("a sync", lambda written=written: written in synced.values(), 10)  # type: ignore[misc]
    client.close(0)


def test_always_syncs_before_the_call_returns(tmp_path: Path, synced: dict[int, int]) -> None:
    client = Client(NOBODY, spool=tmp_path, linger_seconds=60, spool_fsync="always", batch_events=10)
    for number in range(5):
        client.log(str(number))
        assert sum(synced.values()) == client.stats().spool_bytes
    client.log_many(map(str, range(35)))
    assert sum(synced.values()) == client.stats().spool_bytes
    client.close(0)


def test_a_sync_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("forebay.client.spool.files.os.fdatasync", fails)
        client = Client(NOBODY, spool=tmp_path, spool_fsync="always")
        assert client.log("not as durable as asked") is False
        assert client.stats().spool_errors > 0
        assert "input/output error" in client.stats().last_error
        assert client.stats().pending == 1
        client.close(0)
