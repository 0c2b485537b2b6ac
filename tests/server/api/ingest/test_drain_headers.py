"""Headers of `POST /v1/drain`: encodings, idempotency keys, quarantine. Each on both ways of a request."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from forebay.server.http.ingest_options import MAX_KEY_CHARACTERS
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

# `zstd -1` of b'{"events":[]}', which is refused by its content: so it was decoded.
ZSTD_EMPTY = bytes.fromhex("28b52ffd200d690000") + b'{"events":[]}'


class Way:
    """Posts a body to a server: `short` with its length, `usual` in chunks, which cannot take the short way."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, running: RunningServer, body: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def pieces() -> Iterator[bytes]:
            yield body

        with running.client() as client:
            return client.post("/v1/drain", content=body if self.name == "short" else pieces(), headers=named)


@pytest.fixture(params=["short", "usual"])
def send(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)


def stored(running: RunningServer, project: str) -> list[str]:
    return [record["value"]["message"] for record in running.records() if record["key"] == project]


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
    ],
)
def test_encodings_are_decoded(
    shared_server: RunningServer, send: Way, name: str, encode: Callable[[bytes], bytes]
) -> None:
    before = len(stored(shared_server, "encoded"))
    response = send(shared_server, encode(batch(event(project="encoded"))), content_encoding=name)
    assert (response.status_code, response.content) == (202, b'{"status":"accepted"}')
    assert response.headers["forebay-durability"] == "fsync"
    assert len(stored(shared_server, "encoded")) == before + 1


def test_zstd_is_decoded(shared_server: RunningServer, send: Way) -> None:
    response = send(shared_server, ZSTD_EMPTY, content_encoding="zstd")
    assert (response.status_code, "events" in response.json()["error"]) == (400, True)


@pytest.mark.parametrize("name", ["br", "gzip, gzip", "identity, gzip", "compress", "*", "x" * 1000])
def test_other_encodings_are_415(shared_server: RunningServer, send: Way, name: str) -> None:
    response = send(shared_server, batch(), content_encoding=name)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_encoding")
    assert "gzip, deflate, zstd or identity" in response.json()["error"]


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_what_is_not_so_encoded_is_400(shared_server: RunningServer, send: Way, name: str) -> None:
    response = send(shared_server, batch(), content_encoding=name)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


def test_a_repeat_is_acknowledged_again_and_stored_once(shared_server: RunningServer, send: Way) -> None:
    project = f"repeat-{send.name}"
    body = batch(event("once", project=project))
    answers = [send(shared_server, body, idempotency_key=project) for _ in range(3)]
    assert {response.status_code for response in answers} == {202}
    assert {response.content for response in answers} == {b'{"status":"accepted"}'}
    assert stored(shared_server, project) == ["once"]
    # The hash covers the decoded body: a repeat may be encoded otherwise.
    assert send(shared_server, gzip.compress(body), idempotency_key=project, content_encoding="gzip").status_code == 202
    assert stored(shared_server, project) == ["once"]
    other = send(shared_server, batch(event("other", project=project)), idempotency_key=project)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert stored(shared_server, project) == ["once"]


def test_a_refusal_is_not_remembered(shared_server: RunningServer, send: Way) -> None:
    project = f"refused-{send.name}"
    assert send(shared_server, b'{"events":[{}]}', idempotency_key=project).status_code == 400
    assert send(shared_server, batch(event(project=project)), idempotency_key=project).status_code == 202
    assert len(stored(shared_server, project)) == 1


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_CHARACTERS + 1), "a\tb"])
def test_keys_that_are_none_are_400(shared_server: RunningServer, send: Way, key: str) -> None:
    response = send(shared_server, batch(), idempotency_key=key)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert "idempotency-key" in response.json()["error"]


def test_the_longest_key_is_taken(shared_server: RunningServer, send: Way) -> None:
    assert send(shared_server, batch(), idempotency_key="k" * MAX_KEY_CHARACTERS).status_code == 202


@pytest.mark.parametrize("line", ["Idempotency-Key: a", "Content-Encoding: identity", "Forebay-On-Invalid: quarantine"])
def test_a_header_given_twice_is_400(shared_server: RunningServer, line: str) -> None:
    name, value = line.split(": ")
    with shared_server.client() as client:
        response = client.post("/v1/drain", content=batch(), headers=[(name, value), (name, value)])
    assert response.status_code == 400
    assert f"{name.lower()} is given twice" in response.json()["error"]


def test_quarantine_keeps_the_good_and_names_the_bad(shared_server: RunningServer, send: Way) -> None:
    project = f"quarantine-{send.name}"
    mixed = batch(event("good", project=project), {"project_id": project}, event("also good", project=project))
    asked = {"forebay_on_invalid": "quarantine", "idempotency_key": project}
    response = send(shared_server, mixed, **asked)
    named = [{"index": 1, "error": "events[1].timestamp: missing"}]
    assert (response.status_code, response.json()) == (202, {"status": "accepted", "quarantined": 1, "errors": named})
    assert response.headers["forebay-durability"] == "fsync"
    # The repeat gives the same answer, and stores neither again.
    assert send(shared_server, mixed, **asked).content == response.content
    assert stored(shared_server, project) == ["good", "also good"]
    rejected = [record for record in shared_server.records("logs.rejected") if project in str(record["value"])]
    assert len(rejected) == 1
    whole = send(shared_server, batch(event(project=project)), forebay_on_invalid="quarantine")
    assert whole.json() == {"status": "accepted", "quarantined": 0}


def test_quarantine_has_to_be_asked_for(shared_server: RunningServer, send: Way) -> None:
    mixed = batch(event("good", project="whole"), {"project_id": "whole"})
    for headers in ({}, {"forebay_on_invalid": "refuse"}):
        assert send(shared_server, mixed, **headers).status_code == 400
    for value in ("Quarantine", "drop", "", "quarantine, refuse"):
        response = send(shared_server, mixed, forebay_on_invalid=value)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
        assert "'refuse' or 'quarantine'" in response.json()["error"]
    assert stored(shared_server, "whole") == []


def test_keys_survive_restarts(server: Start) -> None:
    bodies = {key: batch(event(key, project=key)) for key in ("first", "second")}
    running = server()
    assert running.drain(bodies["first"], idempotency_key="first").status_code == 202
    running.kill()
    running = server()
    assert running.drain(bodies["first"], idempotency_key="first").status_code == 202
    assert running.drain(bodies["second"], idempotency_key="second").status_code == 202
    assert running.terminate() == 0
    running = server()
    for key, body in bodies.items():
        assert running.drain(body, idempotency_key=key).status_code == 202
        assert running.drain(batch(), idempotency_key=key).status_code == 422
    assert sorted(record["key"] for record in running.records()) == ["first", "second"]


def test_repeats_at_the_same_time_are_stored_once(shared_server: RunningServer) -> None:
    statuses: list[int] = []
    start = threading.Barrier(16)

    def post(number: int) -> None:
        body = batch(event("same time", project=f"same-{number}"), event("x" * 20_000, project="padding"))
        start.wait()
        answers = [Way("short")(shared_server, body, idempotency_key=f"same-{number}") for _ in range(5)]
        statuses.extend(response.status_code for response in answers)

    threads = [threading.Thread(target=post, args=(index % 4,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [202] * 80
    for number in range(4):
        assert stored(shared_server, f"same-{number}") == ["same time"]


def test_the_same_key_of_two_tokens_is_two_keys(server: Start) -> None:
    running = server(auth=True)
    store = TokenStore(running.data_dir)
    tokens = [store.create(name, ["ingest"]) for name in ("a", "b")]
    body = batch(event(project="shared"))

    def post(token: str) -> int:
        return running.drain(body, authorization=token, idempotency_key="k").status_code

    wait_for("the tokens", lambda: post(tokens[1]) == 202, 5)
    assert [post(token) for token in tokens * 2] == [202] * 4
    assert len(running.records()) == 2
