"""Live tails over real connections."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from support.harness import RunningServer, batch, event, resident_bytes, run, wait_for
from support.sse import Tail

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
Follow = Callable[..., Tail]


def send(server: RunningServer, *messages: str, project: str = "p") -> None:
    server.drain(batch(*[event(message, project=project) for message in messages])).raise_for_status()


def texts(tail: Tail) -> list[str]:
    return [data["value"]["message"] for data in tail.data()]


@pytest.fixture
def follow() -> Iterator[Callable[..., Tail]]:
    """Opens tails, and closes them after the test."""
    opened: list[Tail] = []

    def start(server: RunningServer, **more: Any) -> Tail:
        opened.append(Tail(server, **more))
        return opened[-1]

    yield start
    for tail in opened:
        tail.close()


@pytest.fixture
def running(server: Start) -> RunningServer:
    return server()


def test_events_come_as_they_are_stored(running: RunningServer, follow: Follow) -> None:
    send(running, "before")
    tail = follow(running)
    assert "content-type: text/event-stream" in tail.headers
    send(running, "one", "two")
    first, second = tail.messages(2)
    assert texts(tail) == ["one", "two"]
    assert set(first) == {"eventId", "partition", "offset", "timestamp", "key", "value"}
    assert (first["offset"], second["offset"]) == (1, 2)
    assert first["eventId"].endswith(f"_{first['partition']}_1")
    assert first["key"] == "p"
    assert first["timestamp"] == "2024-05-31T15:30:45.000Z"


def test_from_earliest_sends_what_is_there_first(running: RunningServer, follow: Follow) -> None:
    for number in range(30):
        send(running, *[f"{number}.{index}" for index in range(200)], project=f"p{number % 7}")
    tail = follow(running, query="?from=earliest")
    tail.messages(6000)
    send(running, "last")
    tail.messages(6001)
    assert texts(tail)[-1] == "last"
    assert len({data["eventId"] for data in tail.data()}) == 6001
    by_partition: dict[int, list[int]] = {}
    for data in tail.data():
        by_partition.setdefault(data["partition"], []).append(data["offset"])
    assert all(offsets == list(range(len(offsets))) for offsets in by_partition.values())


def test_reconnecting_loses_and_repeats_nothing(running: RunningServer, follow: Follow) -> None:
    """Connections are dropped anywhere, also within a piece, while events of many partitions come in."""
    total, chance = 3000, random.Random(7)
    tail = follow(running)

    def write() -> None:
        for number in range(0, total, 10):
            send(running, *[str(number + index) for index in range(10)], project=f"p{number % 13}")

    writer = threading.Thread(target=write)
    writer.start()
    got: list[str] = []
    while len(got) < total:
        tail.messages(chance.randint(1, min(40, total - len(got))))
        # Only what came before some event, whose id is then the last that the client has seen.
        kept = tail.events[: chance.randint(1, len(tail.events))]
        tail.close()
        got += [data["value"]["message"] for _, data in kept]
        if len(got) < total:
            tail = follow(running, last=tail.ids[len(kept) - 1])
    writer.join()
    assert sorted(got, key=int) == [str(number) for number in range(total)]


def test_a_filter_chooses(running: RunningServer, follow: Follow) -> None:
    tail = follow(running, query="?filter=" + quote('value.message.startsWith("a") && key == "p"'))
    other = follow(running, query="?filter=" + quote("value.nothing > 1"))
    send(running, "a1", "b1", "a2")
    send(running, "a3", project="q")
    send(running, "a4")
    tail.messages(3)
    assert texts(tail) == ["a1", "a2", "a4"]
    assert other.data() == []


@pytest.mark.parametrize(
    ("query", "number", "detail"),
    [
        ("?filter=value.a%20%3E", 1008, "filter: column"),
        ("?filter=", 1008, "1 to 4096 characters"),
        ("?filter=%20", 1008, "is empty"),
        ("?filter=" + quote("(" * 4000), 1008, "brackets deep"),
        ("?from=yesterday", 1008, "one of now, earliest"),
        ("?what=1", 1008, "unknown query parameter"),
    ],
)
def test_what_is_wrong_is_refused(
    shared_server: RunningServer, query: str, number: int, detail: str, follow: Follow
) -> None:
    tail = follow(shared_server, query=query)
    error = json.loads(tail.body)["error"]
    assert (tail.status, error["code"]) == (400, number)
    assert detail in error["detail"]


@pytest.mark.parametrize(
    ("last", "status"),
    [("nonsense", 400), ("1:0", 400), ("1:9999999.0.0.0", 400), ("1:-1.0.0.0", 400), ("99999999999:0", 400), ("", 200)],
)
def test_last_event_ids_are_checked(shared_server: RunningServer, last: str, status: int, follow: Follow) -> None:
    assert follow(shared_server, last=last).status == status


def test_a_position_stands_in_the_address_too(running: RunningServer, follow: Follow) -> None:
    """For a page that makes its `EventSource` anew, which can send no header."""
    send(running, "one", "two", "three")
    first = follow(running, query="?from=earliest")
    first.messages(3)
    after_one, after_two = first.ids[:2]
    assert [data["value"]["message"] for data in follow(running, query=f"?position={after_one}").messages(2)] == [
        "two",
        "three",
    ]
    both = follow(running, query=f"?from=earliest&position={after_one}", last=after_two)
    assert [data["value"]["message"] for data in both.messages(1)] == ["three"], "a browser's own header is newer"
    # One that has had nothing yet.
    none = follow(running, query=f"?position={after_two}", last="")
    assert [data["value"]["message"] for data in none.messages(1)] == ["three"]


@pytest.mark.parametrize(
    ("position", "detail"),
    [
        ("nonsense", "position is 'nonsense'"),
        ("", "position is ''"),
        ("1:0", "position is '1:0', which is beyond the end"),
        ("1:9999999.0.0.0", "position is '1:9999999.0.0.0', which is beyond the end"),
        ("99999999999:0", "position is '99999999999:0'"),
        ("9999999999:0", "position is '9999999999:0', which is not the id"),
    ],
)
def test_positions_in_the_address_are_checked(
    shared_server: RunningServer, position: str, detail: str, follow: Follow
) -> None:
    tail = follow(shared_server, query=f"?position={position}")
    assert tail.status == 400
    assert detail in json.loads(tail.body)["error"]["detail"]


def test_there_has_to_be_a_stream(shared_server: RunningServer, follow: Follow) -> None:
    tail = follow(shared_server, stream="nothing")
    assert (tail.status, json.loads(tail.body)["error"]["code"]) == (404, 1001)


def test_head_has_no_body(shared_server: RunningServer, follow: Follow) -> None:
    with shared_server.client() as client:
        answer = client.head("/api/v1/streams/logs/tail")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_deleting_the_stream_ends_its_tails(running: RunningServer, follow: Follow) -> None:
    with running.client() as client:
        made = {"name": "orders", "partitions": 2}
        client.post("/api/v1/streams", json=made).raise_for_status()
        tail, other = follow(running, stream="orders"), follow(running)
        published = client.post("/api/v1/streams/orders/events", json={"key": "k", "value": {"n": 1}})
        [first] = tail.messages(1)
        assert (first["eventId"], first["value"]) == (published.raise_for_status().json()["eventId"], {"n": 1})
        client.delete("/api/v1/streams/orders").raise_for_status()
        assert tail.to_the_end()[-1] == ("end", {"reason": "deleted"})
        assert follow(running, stream="orders", last=tail.id).status == 404
        # Another stream of that name: all of it is new to who comes back.
        client.post("/api/v1/streams", json=made).raise_for_status()
        client.post("/api/v1/streams/orders/events", json={"value": 2}).raise_for_status()
        again = follow(running, stream="orders", last=tail.id)
        assert [data["value"] for data in again.messages(1)] == [2]
    send(running, "still there")
    other.messages(1)


def test_stopping_ends_every_tail_at_once(running: RunningServer, follow: Follow) -> None:
    tails = [follow(running), follow(running, query="?filter=true"), follow(running, query="?from=earliest")]
    assert running.terminate() == 0
    for tail in tails:
        assert tail.to_the_end()[-1] == ("end", {"reason": "closed"})


def test_a_reader_that_takes_nothing_is_cut_off_and_costs_little(server: Start, follow: Follow) -> None:
    running = server()
    lively = follow(running)
    padding = "x" * 10_000

    def publish(batches: int) -> None:
        """200 KB a batch, each of which the lively one has had before the next."""
        for _ in range(batches):
            known = len(lively.data())
            send(running, *[f"{known + index} {padding}" for index in range(20)])
            lively.messages(known + 20)

    # This fills the ring and whatever else the server keeps from then on.
    publish(300)
    stalled = follow(running)
    before = resident_bytes(running.pid)
    publish(300)
    assert resident_bytes(running.pid) - before < 30 << 20, "60 MB went out to the lively one"
    wait_for("the stalled reader's end", lambda: connections(running) == 1, 30)
    with pytest.raises((ConnectionError, AssertionError)):
        stalled.messages(6000)
    again = follow(running, last=stalled.id)
    again.messages(6000 - len(stalled.data()))
    numbers = [int(data["value"]["message"].split()[0]) for data in stalled.data() + again.data()]
    assert numbers == list(range(6000, 12_000))


def connections(server: RunningServer) -> int:
    """Connections that the server has to somebody, by the operating system's word."""
    port = int(server.url.rsplit(":", 1)[1])
    count = 0
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            fields = line.split()
            # 01 is ESTABLISHED, 04 and 05 FIN_WAIT: proc_net_tcp(5).
            count += fields[3] == "01" and int(fields[1].split(":")[1], 16) == port
    return count


def test_tokens_with_projects_see_only_theirs(server: Start, follow: Follow) -> None:
    running = server(auth=True)
    made = run(
        "token",
        "create",
        "--name",
        "reader",
        "--data-dir",
        str(running.data_dir),
        "--role",
        "read",
        "--project",
        "mine",
    )
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip().splitlines()[-1].strip()
    everything = follow(running)
    all_rights, running.headers = running.headers, {"authorization": f"Bearer {secret}"}

    def let_in() -> bool:
        return follow(running).status == 200

    wait_for("the token", let_in)
    limited, forbidden = follow(running), follow(running, stream="logs.rejected")
    running.headers = all_rights
    send(running, "theirs", project="other")
    send(running, "mine", project="mine")
    everything.messages(2)
    limited.messages(1)
    assert texts(limited) == ["mine"]
    assert forbidden.status == 403


def test_no_more_tails_come_in_together_than_one_after_the_other(server: Start, follow: Follow) -> None:
    """The filters of all of them are compiled at the same time, elsewhere."""
    running = server(max_connections=8)
    begin, found = threading.Barrier(8), []

    def open_one(number: int) -> None:
        begin.wait()
        found.append(follow(running, query="?filter=" + quote(f"value.n == {number}")).status)

    threads = [threading.Thread(target=open_one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] * 4 + [429] * 4


def test_many_tails_share_what_is_serialised(running: RunningServer, follow: Follow) -> None:
    tails = [follow(running) for _ in range(50)]
    began = time.monotonic()
    for number in range(100):
        send(running, str(number))
    for tail in tails:
        tail.messages(100)
        assert texts(tail) == [str(number) for number in range(100)]
    # Coalesced: a hundred commits, and at most ten writes a second, beside the first one.
    most = 10 * (time.monotonic() - began) + 2
    assert all(tail.pieces <= most for tail in tails), most
