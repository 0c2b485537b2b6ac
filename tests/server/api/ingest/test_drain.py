"""`POST /v1/drain` as a sender sees it."""

import json
import time

import httpx
import pytest

from support.harness import RunningServer, answer, batch, event

Event = dict[str, object]


def without(name: str) -> Event:
    return {key: value for key, value in event().items() if key != name}


def test_a_batch_is_acknowledged_with_its_durability(shared_server: RunningServer) -> None:
    response = shared_server.drain(batch(event("one"), event("two", metadata={"user_id": 123})))
    assert (response.status_code, response.content) == (202, b'{"status":"accepted"}')
    assert response.headers["forebay-durability"] == "fsync"
    assert response.headers["content-type"] == "application/json"


def test_what_was_acknowledged_is_read_back_as_sent(shared_server: RunningServer) -> None:
    sent = event("read me back", project="read-back", metadata={"a": [1, None, "é"]}, extra=True)
    assert shared_server.drain(batch(sent)).status_code == 202
    [record] = [record for record in shared_server.records() if record["key"] == "read-back"]
    assert record["value"] == sent
    assert record["timestamp"] == "2024-05-31T15:30:45.000000Z"
    assert set(record) == {"partition", "offset", "timestamp", "key", "value"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "events"),
        (b'{"events":[]}', "events"),
        (b'{"events":{}}', "events"),
        (batch(event(), without("project_id")), "events[1].project_id"),
        (batch(without("timestamp")), "events[0].timestamp"),
        (batch(event() | {"timestamp": "2024-02-30T00:00:00Z"}), "events[0].timestamp"),
        (batch(event() | {"level": 3}), "events[0].level"),
        (batch(event() | {"service": ""}), "events[0].service"),
        (batch(event() | {"metadata": []}), "events[0].metadata"),
    ],
)
def test_a_bad_batch_is_refused_whole_naming_the_place(shared_server: RunningServer, body: bytes, place: str) -> None:
    before = len(shared_server.records())
    response = shared_server.drain(body)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_request"
    assert place in response.json()["error"]
    assert len(shared_server.records()) == before


def chunked(body: bytes, size: int = 1000) -> bytes:
    head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def plain(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /v1/drain HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize("body", [batch(), b'{"events":[]}', b"{", batch(event("x" * 20_000))])
def test_both_ways_of_a_request_answer_alike(shared_server: RunningServer, body: bytes) -> None:
    """A body with a length is read by the front, a chunked one by the server behind."""
    answers = []
    for request in (plain(body), chunked(body), plain(body, b"Content-Encoding: identity")):
        with shared_server.connect() as connection:
            connection.sendall(request)
            status, headers, text = answer(connection)
        del headers["date"]
        answers.append((status, headers, text))
    assert answers[0] == answers[1] == answers[2]


def test_a_connection_is_used_again(shared_server: RunningServer) -> None:
    with shared_server.connect() as connection:
        for body in (batch(), b"{", batch(event("again"))) * 3:
            connection.sendall(plain(body))
            assert answer(connection)[0] == (400 if body == b"{" else 202)


def test_an_encoding_is_refused(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        response = client.post("/v1/drain", content=batch(), headers={"content-encoding": "br"})
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_encoding"


def test_a_query_is_refused(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        response = client.post("/v1/drain?x=1", content=batch())
    assert response.status_code == 400
    assert "unknown query parameter 'x'" in response.json()["error"]


LIMIT = 10_000


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> object:
    running = RunningServer(
        tmp_path_factory.mktemp("narrow") / "data", max_body_bytes=LIMIT, body_timeout_seconds=0.5
    ).start()
    yield running
    running.stop()


def padded(size: int) -> bytes:
    return batch(event("x" * (size - len(batch(event(""))))))


def test_the_largest_body_is_taken_and_one_byte_more_is_not(narrow_server: RunningServer) -> None:
    assert len(padded(LIMIT)) == LIMIT
    assert narrow_server.drain(padded(LIMIT)).status_code == 202
    refused = narrow_server.drain(padded(LIMIT + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert refused.headers["connection"] == "close"
    with narrow_server.connect() as connection:
        connection.sendall(chunked(padded(LIMIT + 1)))
        status, headers, _ = answer(connection)
    assert (status, headers["connection"]) == (413, "close")


def test_a_declared_length_beyond_the_limit_is_answered_before_the_body(narrow_server: RunningServer) -> None:
    with narrow_server.connect() as connection:
        connection.sendall(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
        status, headers, text = answer(connection)
    assert (status, headers["connection"]) == (413, "close")
    assert b"100000000000 bytes" in text


def test_a_sender_that_writes_everything_first_still_sees_the_refusal(narrow_server: RunningServer) -> None:
    with narrow_server.connect() as connection:
        connection.sendall(plain(b"x" * 8_000_000))
        assert answer(connection)[0] == 413


@pytest.mark.parametrize(
    "start",
    [
        b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_a_slow_body_is_timed_out_and_closed(narrow_server: RunningServer, start: bytes) -> None:
    with narrow_server.connect() as connection:
        began = time.monotonic()
        connection.sendall(start)
        status, headers, text = answer(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(text)["code"] == "request_timeout"
        # The deadline, at most a sweep later.
        assert 0.4 < time.monotonic() - began < 5
        assert connection.recv(1) == b""


def test_a_body_that_breaks_off_is_never_stored(narrow_server: RunningServer) -> None:
    marked = batch(event("half", project="half-sent"))
    for request in (plain(marked)[:-1], chunked(marked)[:-5], chunked(marked)[:-2]):
        with narrow_server.connect() as connection:
            connection.sendall(request)
    # A later request on the same server is answered, so the broken ones were met before.
    assert narrow_server.drain(batch()).status_code == 202
    assert not [record for record in narrow_server.records() if record["key"] == "half-sent"]


def test_bodies_under_way_are_bounded(server: object) -> None:
    running: RunningServer = server(max_body_bytes=1 << 20, max_reading_bytes=1 << 20)  # type: ignore[operator]
    with running.connect() as holder:
        # Only bytes that have come are charged, not those that are announced.
        holder.sendall(
            b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + b" " * ((1 << 20) - 1)
        )
        deadline = time.monotonic() + 10
        while (response := running.drain(batch())).status_code == 202:
            assert time.monotonic() < deadline
        assert response.status_code == 429
        assert response.content == b'{"error":"server saturated","code":"backpressure_triggered"}'
        assert response.headers["retry-after"] == "1"
    deadline = time.monotonic() + 10
    while running.drain(batch()).status_code == 429:
        assert time.monotonic() < deadline


@pytest.mark.slow
def test_the_durability_that_was_chosen_is_the_one_that_is_said(server: object) -> None:
    for durability in ("interval", "memory"):
        running: RunningServer = server("--durability", durability, directory=durability)  # type: ignore[operator]
        response: httpx.Response = running.drain(batch())
        assert (response.status_code, response.headers["forebay-durability"]) == (202, durability)
