"""What a client says of events that are lost."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.proxy import Answer, Listener, Request, accepted, scripted
from client.test_process import program
from client.test_storm import adds_up
from forebay.client import AsyncClient, Client, LoggingHandler, TokenRefused, losses
from support.harness import RunningServer, wait_for

NO_TOKEN = Answer(401, b'{"error":"the token is missing or unknown","code":"unauthorized"}')
NO_ROLE = Answer(403, b'{"error":"the token lacks the role ingest","code":"forbidden"}')


class Said(logging.Handler):
    """What is logged as `forebay.client`, and on what threads."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def errors(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= logging.ERROR]


@pytest.fixture
def said() -> Iterator[Said]:
    found, logger = Said(), logging.getLogger("forebay.client")
    logger.addHandler(found)
    yield found
    logger.removeHandler(found)


@pytest.mark.parametrize("answer", [NO_TOKEN, NO_ROLE], ids=["401", "403"])
def test_a_refused_token_is_told_once_and_to_who_calls(said: Said, tmp_path: Path, answer: Answer) -> None:
    answers = [answer] * 3
    kept = tmp_path / "rejected"
    with (
        scripted(lambda request: answers.pop() if answers else accepted(request)) as server,
        Client(server.url, "wrong", rejected_file=kept) as client,
    ):
        for number in range(3):
            # The first is not refused yet, the others are, and are tried all the same.
            assert client.log(f"a{number}") is (number == 0)
            assert client.flush() == 0
            assert len(said.errors()) == 1
        assert client.track("seen") is (answer is NO_ROLE), "another lane may be allowed what this one is not"
        assert client.flush() == 0
        assert client.log("b") is (answer is NO_TOKEN), "known only when something is taken"
        assert client.flush() == 0
        assert client.log("c")
        assert client.log_many(["d"]) == 1
        stats = client.stats()
        assert adds_up(stats)
    (text, summary) = said.errors()
    assert text.startswith(f"the server at {server.url} refuses this client's token ({answer.status}: ")
    assert "--role ingest" in text
    assert str(kept) in text
    assert summary.startswith("2 events rejected since then, 3 in all"), "at the end what was not told"


def test_a_refused_token_may_raise(said: Said) -> None:
    with scripted(lambda _: NO_TOKEN) as server, Client(server.url, when_refused="raise") as client:
        assert client.log("first")
        assert client.flush() == 0
        calls: list[Callable[[], object]] = [
            lambda: client.log("x"),
            lambda: client.log_many(["x"]),
            lambda: client.track("x"),
            lambda: client.event("x", "y", {}),
            lambda: client.publish("x", 1),
        ]
        for call in calls:
            with pytest.raises(TokenRefused, match="401: the token is missing"):
                call()
        logger = logging.Logger("client.losses")
        logger.addHandler(LoggingHandler(client))
        logger.error("never raises")
        assert client.flush() == 0
        assert (client.stats().rejected, client.stats().accepted) == (7, 7)
    assert said.errors()[0].startswith("the server at")
    with pytest.raises(ValueError, match="when_refused"):
        Client("http://127.0.0.1:1", when_refused="sometimes")  # type: ignore[arg-type]


def test_it_is_no_different_for_asyncio(said: Said) -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as client:
            assert await client.log("first")
            await client.flush()
            assert await client.log("second") is False
            assert await client.log_many(["third"]) == 0
        async with AsyncClient(url, when_refused="raise") as client:
            await client.log("first")
            await client.flush()
            for call in (client.log("x"), client.track("x"), client.event("x", "y", {}), client.publish("x", 1)):
                with pytest.raises(TokenRefused):
                    await call

    with scripted(lambda _: NO_TOKEN) as server:
        asyncio.run(run(server.url))
    assert len([text for text in said.errors() if text.startswith("the server at")]) == 2


@pytest.mark.parametrize("policy", ["drop_newest", "drop_oldest", "block"])
def test_a_full_queue_is_told_once_and_then_by_number(said: Said, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    client = Client("http://127.0.0.1:1", policy=policy, queue_events=3, block_seconds=0, exit_seconds=0)  # type: ignore[arg-type]
    for number in range(8):
        client.log(str(number))
    wait_for("the first", lambda: len(said.errors()) == 1)
    assert f"dropped, since there is no room (policy '{policy}')" in said.errors()[0]
    assert "http://127.0.0.1:1" in said.errors()[0]
    for _ in range(100):
        client.log("more")
    assert len(said.errors()) == 1
    monkeypatch.setattr(losses, "REPEAT_SECONDS", 0.0)
    client._losses._due = 0.0
    for loss in client._losses._losses.values():
        loss.due = 0.0
    client.log("more")
    wait_for("the number", lambda: len(said.errors()) >= 2)
    dropped = client.stats().dropped
    assert client.close() == client.stats().pending
    assert any(f"{dropped} in all" in text for text in said.errors())
    assert "not delivered, which are lost" in said.errors()[-1]


def test_what_is_handed_over_after_the_end_is_told(said: Said) -> None:
    with scripted(accepted) as server:
        client = Client(server.url)
        assert client.close() == 0
        assert said.errors() == []
        assert client.log("late") is False
        wait_for("it", lambda: said.errors() == ["1 event handed over after the client was closed, and dropped"])


def test_a_spool_that_cannot_be_written_is_told(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    client = Client("http://127.0.0.1:1", spool=tmp_path, exit_seconds=0)
    monkeypatch.setattr("forebay.client.spool.files.os.write", full)
    assert client.log("x") is False
    wait_for("it", lambda: len(said.errors()) == 1)
    monkeypatch.undo()
    assert "No space left on device" in said.errors()[0]
    assert str(tmp_path) in said.errors()[0]
    client.close()


def test_a_file_of_rejected_events_that_cannot_be_written_is_not_said_to_have_them(said: Said, tmp_path: Path) -> None:
    kept = tmp_path / "missing" / "rejected"
    with (
        scripted(lambda _: Answer(422, b'{"error":"not so","code":"x"}')) as server,
        Client(server.url, rejected_file=kept) as client,
    ):
        client.log("x")
        assert client.flush() == 0
        assert client.stats().last_error.startswith(f"cannot write {kept}")
    text = said.errors()[-1]
    assert "they are in" not in text
    assert text.endswith(
        f"they are lost, but for what on_rejected keeps: cannot write {kept}: No such file or directory"
    )


def test_a_stream_that_takes_no_publication_is_not_the_token_s_fault(said: Said) -> None:
    detail = "stream 'logs' is the engine's own and cannot be published to; send to POST /v1/drain"
    body = json.dumps({"error": {"code": 1010, "message": "FORBIDDEN", "description": "", "detail": detail}})
    with scripted(lambda _: Answer(403, body.encode())) as server, Client(server.url) as client:
        assert client.publish("logs", 1)
        assert client.flush() == 0
        assert client.publish("logs", 2), "the token is not refused"
        assert client.flush() == 0
        assert client.stats().rejected == 2
    assert said.errors()[0].startswith(f"1 event rejected, the last since 403: {detail}: ")


def test_https_to_a_server_without_it_says_so(said: Said) -> None:
    class Plain(Listener):
        def serve(self, taken: socket.socket) -> None:
            taken.recv(1)
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = Plain()
    url = server.url.replace("http:", "https:")
    client = Client(url, exit_seconds=0)
    client.log("x")
    wait_for("the reason", lambda: client.stats().last_error != "")
    assert client.stats().last_error == "no answer: the server speaks plain http: give a URL with http://"
    client.close()
    server.close()
    wait_for(
        "the warning", lambda: any(record.getMessage().startswith(f"the server at {url} ") for record in said.records)
    )


def test_what_is_left_in_a_spool_is_a_warning_that_names_it(said: Said, tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", spool=tmp_path)
    client.log("x")
    for _ in range(2):
        assert client.close(0) == 1
    assert said.errors() == []
    left = [record.getMessage() for record in said.records if "closed with" in record.getMessage()]
    assert left == [f"closed with 1 event not delivered: in the spool {tmp_path}, whose next client sends them"]


@pytest.mark.parametrize("status", [401, 422])
def test_the_loggers_do_not_send_what_the_client_says_of_itself(status: int) -> None:
    """The root logger has the handler, as in an application. Of two clients neither sends what the other says."""
    root = logging.getLogger()
    with scripted(lambda _: Answer(status, b"{}")) as server, scripted(accepted) as good:
        client, other = Client(server.url, queue_events=2, policy="drop_newest"), Client(good.url)
        handlers = [LoggingHandler(client), LoggingHandler(other)]
        for handler in handlers:
            root.addHandler(handler)
        try:
            for number in range(50):
                logging.error("number %d", number)
            client.close()
            with Client("http://127.0.0.1:1", exit_seconds=0) as left:
                left.log("said on this thread when it is closed")
            other.close()
        finally:
            for handler in handlers:
                root.removeHandler(handler)
        assert (client.stats().accepted, other.stats().accepted) == (50, 50)


def test_handlers_that_wait_for_one_another_do_not_stand_still() -> None:
    """Each thread logs within a handler's lock, and its client drops: what is then said goes to both handlers."""
    root = logging.getLogger()
    clients = [Client("http://127.0.0.1:1", queue_events=1, policy="drop_newest", exit_seconds=0) for _ in range(2)]
    inside = threading.Barrier(2)

    class Slow(LoggingHandler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == self.name:
                inside.wait(30)
            super().emit(record)

    handlers = [Slow(client) for client in clients]
    loggers = [logging.Logger(f"client.losses.{number}") for number in range(2)]
    for handler, logger in zip(handlers, loggers, strict=True):
        handler.name = logger.name
        logger.addHandler(handler)
        root.addHandler(handler)
    try:
        for client in clients:
            client.log("fills the queue")
        threads = [threading.Thread(target=logger.error, args=("x",), daemon=True) for logger in loggers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        for client in clients:
            client.close()


@pytest.mark.parametrize("spooled", [False, True])
def test_the_end_of_the_process_says_what_became_of_it(tmp_path: Path, spooled: bool) -> None:
    def answer(request: Request) -> Answer | None:
        return Answer(422, b'{"error":"not so","code":"x"}') if b"bad" in request.body else None

    with scripted(answer) as server:
        ended = program(
            """
            import sys
            from forebay.client import Client
            client = Client(sys.argv[1], exit_seconds=0.5, connections=1, spool=sys.argv[2] if sys.argv[3:] else None)
            client.log("bad")
            client.flush()
            client.log("left")
            """,
            server.url,
            tmp_path,
            *["spool"][: int(spooled)],
        )
    assert ended.returncode == 0
    rejected, *_, left = ended.stderr.splitlines()
    assert rejected.startswith("1 event rejected, the last since 422: not so: they are ")
    assert (str(tmp_path / "rejected.ndjson") in rejected) is spooled
    assert left.startswith("closed with 1 event not delivered")
    assert (str(tmp_path) in left) is spooled


def test_a_real_server_refuses_no_and_another_token(said: Said, tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", auth=True)
    try:
        server.start()
        for token in (None, "wrong"):
            with Client(server.url, token) as client:
                client.log("x")
                assert client.flush() == 0
                assert client.log("y") is False
        with Client(server.url, server.first_token()) as client:
            assert client.log("z")
            assert client.flush() == 0
            assert client.log("z")
    finally:
        server.stop()
    assert len([text for text in said.errors() if "refuses this client's token (401: " in text]) == 2
