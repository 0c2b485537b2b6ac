"""Tails, WebSockets and polls end with their token, whether it was revoked or changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, wait_for
from support.sse import Tail

pytestmark = pytest.mark.slow

PATIENCE = 20.0
POLL_SECONDS = 30
"""The longest poll: it has to end long before."""

Change = Callable[[TokenStore], None]


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    # Pings are not what ends a socket here.
    server = RunningServer(tmp_path_factory.mktemp("revoked") / "data", auth=True, websocket_ping_seconds=3600).start()
    yield server
    server.stop()


def with_token(running: RunningServer, secret: str) -> RunningServer:
    """Returns the server for a client that has another token."""
    other = RunningServer(running.data_dir)
    other.url, other.headers = running.url, {"authorization": f"Bearer {secret}"}
    return other


def a_reader(running: RunningServer, name: str = "reader") -> RunningServer:
    reader = with_token(running, TokenStore(running.data_dir).create(name, ["read"]))
    with reader.client() as client:
        wait_for("the token", lambda: client.get("/api/metrics").status_code == 200)
    return reader


def websocket(reader: RunningServer) -> ClientConnection:
    return connect(
        reader.url.replace("http", "ws") + "/ws", additional_headers=reader.headers, open_timeout=PATIENCE, proxy=None
    )


def closed_with(socket: ClientConnection) -> int | None:
    try:
        while True:
            socket.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


def revoked(store: TokenStore) -> None:
    store.revoke("reader")


def edited(store: TokenStore, field: str, value: Any) -> None:
    """Changes the file of tokens without the store's lock, which an editor or a deployment tool does too."""
    rows = msgspec.json.decode(store.path.read_bytes())
    for row in rows["tokens"]:
        if row["name"] == "reader":
            row[field] = value
    store.path.write_bytes(msgspec.json.encode(rows))


CHANGES = [
    pytest.param(revoked, 401, id="revoked"),
    pytest.param(lambda store: edited(store, "name", "renamed"), 403, id="renamed"),
    pytest.param(lambda store: edited(store, "roles", ["ingest"]), 403, id="role"),
    pytest.param(lambda store: edited(store, "projects", ["other"]), 403, id="projects"),
]


@pytest.mark.parametrize(("change", "status"), CHANGES)
def test_what_a_token_holds_open_ends_with_it(running: RunningServer, change: Change, status: int) -> None:
    reader, other = a_reader(running), a_reader(running, "other")
    tail, theirs = Tail(reader), Tail(other)
    filtered = Tail(reader, query="?filter=true")
    socket, their_socket = websocket(reader), websocket(other)
    answers: list[httpx.Response] = []

    def poll() -> None:
        with reader.client() as client:
            query: dict[str, str | int] = {"consumerGroup": "g", "timeout": POLL_SECONDS * 1000, "autoCommit": "true"}
            answers.append(client.get("/api/v1/streams/logs/events", params=query, timeout=2 * POLL_SECONDS))

    waits = threading.Thread(target=poll)
    waits.start()
    with running.client() as client:
        wait_for("the poll", lambda: client.get("/api/v1/consumers/g").status_code == 200)
    change(TokenStore(running.data_dir))
    waits.join(PATIENCE)
    assert not waits.is_alive(), "it waits for its own end"
    assert answers[0].status_code == status
    for one in (tail, filtered):
        assert one.to_the_end() == [("end", {"reason": "unauthorized"})]
    assert closed_with(socket) == 1008
    # Nothing of it reaches the others, who see what comes after.
    running.drain(batch(event("after"))).raise_for_status()
    assert theirs.messages(1)[0]["value"]["message"] == "after"
    their_socket.recv(timeout=PATIENCE)
    assert not tail.data()
    for end in (tail, filtered, theirs, socket, their_socket):
        end.close()


def test_other_changes_of_the_token_file_end_nothing(running: RunningServer) -> None:
    reader = a_reader(running)
    tail, socket = Tail(reader), websocket(reader)
    store = TokenStore(running.data_dir)
    for number in range(3):
        a_reader(running, f"more-{number}")
    edited(store, "quota", {"events": {"per_second": 1, "burst": 1}})
    a_reader(running, "last")
    running.drain(batch(event("still"))).raise_for_status()
    assert tail.messages(1)[0]["value"]["message"] == "still"
    socket.recv(timeout=PATIENCE)
    tail.close()
    socket.close()


def test_a_reader_that_takes_nothing_is_ended_too(running: RunningServer) -> None:
    reader = a_reader(running)
    tail = Tail(reader)
    padding = "x" * 100_000
    for _ in range(100):
        running.drain(batch(*[event(padding) for _ in range(8)])).raise_for_status()
    revoked(TokenStore(running.data_dir))
    with reader.client() as client:
        wait_for("its end", lambda: client.get("/api/metrics").status_code == 401)

    def ended() -> bool:
        try:
            tail.read()
        except ConnectionError:
            return True
        return tail.ended

    wait_for("the tail's end", ended)
    tail.close()
