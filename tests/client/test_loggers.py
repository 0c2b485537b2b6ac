"""The standard library's logging and structlog."""

from __future__ import annotations

import json
import logging
import time
from collections import UserDict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from client.proxy import Answer, Scripted, accepted, scripted
from forebay.client import Client, LoggingHandler, Rejection, StructlogProcessor


class Rude:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(accepted) as running:
        yield running


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("client.test")
    found.setLevel(logging.DEBUG)
    yield found
    found.handlers.clear()


def events(server: Scripted, client: Client) -> list[dict[str, Any]]:
    assert client.flush() == 0
    return [event for request in server.seen for event in json.loads(request.body)["events"]]


def test_records_with_their_extra_fields_and_exceptions(server: Scripted, logger: logging.Logger) -> None:
    with Client(server.url, service="shop", project_id="p") as client:
        logger.addHandler(LoggingHandler(client, logging.INFO))
        logger.debug("not this")
        logger.warning("%d left of %s", 3, "tea", extra={"user_id": 7, "cart": {"items": [1]}})
        try:
            raise KeyError("gone")
        except KeyError:
            logger.exception("failed")
        first, second = events(server, client)
    assert (first["message"], first["level"], first["service"], first["project_id"]) == (
        "3 left of tea",
        "warning",
        "shop",
        "p",
    )
    metadata = first["metadata"]
    assert (metadata["user_id"], metadata["cart"], metadata["logger"]) == (7, {"items": [1]}, "client.test")
    assert metadata["function"] == "test_records_with_their_extra_fields_and_exceptions"
    assert not {"args", "msg", "exc_info"} & metadata.keys()
    exception = second["metadata"]["exception"]
    assert (second["level"], exception["type"], exception["message"]) == ("error", "builtins.KeyError", "'gone'")
    assert "Traceback" in exception["trace"]
    assert 'raise KeyError("gone")' in exception["trace"]


def test_what_cannot_be_put_as_json_is_put_as_text(
    server: Scripted, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle: dict[Any, Any] = {}
    circle["again"] = circle
    # The collector of the logs of parallel tests cannot write these.
    monkeypatch.setattr(logger, "propagate", False)
    with Client(server.url) as client:
        logger.addHandler(LoggingHandler(client))
        fields = {"a": object(), "b": Rude(), "c": circle, "d": {1: 1 << 80, (1, 2): float("nan")}, "e": "\ud800"}
        logger.info("\udcff odd", extra=fields)
        (event,) = events(server, client)
    assert event["message"] == "? odd"
    metadata = event["metadata"]
    assert metadata["a"].startswith("<object object")
    assert metadata["b"] == "<Rude: RuntimeError>"
    assert metadata["d"] == {"1": str(1 << 80), "(1, 2)": None}
    assert metadata["e"] == "?"


def test_a_broken_call_is_reported_and_does_not_raise(
    server: Scripted, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(server.url) as client:
        logger.addHandler(LoggingHandler(client))
        logger.propagate = False
        try:
            logger.info("%d", "not a number")
        finally:
            logger.propagate = True
        logger.info("fine")
        assert [event["message"] for event in events(server, client)] == ["%d", "fine"]
    assert "not a number" in capsys.readouterr().err


def test_what_the_sender_logs_does_not_go_round(logger: logging.Logger) -> None:
    """The callback logs on the sender's thread, and the sender logs the outage itself."""

    def told(rejection: Rejection) -> None:
        logger.error("rejected: %s", rejection.reason)

    answers = iter([Answer(503), Answer(401)])
    with scripted(lambda _: next(answers)) as server, Client(server.url, on_rejected=told) as client:
        handler = LoggingHandler(client)
        logger.addHandler(handler)
        logging.getLogger("forebay").addHandler(handler)
        try:
            logger.info("once")
            assert client.flush() == 0
            assert client.stats().accepted == 1
        finally:
            logging.getLogger("forebay").removeHandler(handler)


def test_structlog(server: Scripted) -> None:
    with Client(server.url) as client:
        processor = StructlogProcessor(client)
        log = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                processor,
                structlog.processors.JSONRenderer(),
            ],
        ).bind(user=7)
        rendered = [log.info("shipped", order="o1")]
        try:
            raise ValueError("no")
        except ValueError:
            rendered.append(log.error("failed", exc_info=True))
        first, second = events(server, client)
        assert processor.failures == 0
    assert (first["message"], first["level"], first["metadata"]) == ("shipped", "info", {"user": 7, "order": "o1"})
    assert json.loads(rendered[0])["timestamp"] == first["timestamp"]
    assert second["metadata"]["exception"]["type"] == "builtins.ValueError"
    assert "Traceback" in second["metadata"]["exception"]["trace"]
    assert json.loads(rendered[1])["exc_info"] is True, "passed on as it was"


def test_a_processor_does_not_raise_into_the_application(server: Scripted) -> None:
    class Gone(UserDict[str, Any]):
        def __iter__(self) -> Iterator[str]:
            raise RuntimeError

    with Client(server.url) as client:
        processor = StructlogProcessor(client)
        event = Gone({"event": "x"})
        assert processor(None, "info", event) is event
        assert processor.failures == 1
        assert "RuntimeError" in processor.last_error


FORMATS = [
    {"fmt": "%Y-%m-%d %H:%M:%S", "utc": False},
    {"fmt": "%Y-%m-%d %H:%M:%S"},
    {"fmt": "iso"},
    {"fmt": "iso", "utc": False},
    {"fmt": "%Y-%m-%d %H:%M:%S %z", "utc": False},
    {},
]
UNREADABLE = [{"fmt": "%H:%M:%S"}, {"fmt": "%Y-%m-%d"}, {"fmt": "%Y-%m-%d %H:%M.%S"}, {"fmt": "%c", "utc": False}]


def stamped(server: Scripted, **options: Any) -> tuple[dict[str, Any], str]:
    """An event, and the time that the stamper gave it."""
    stamper = structlog.processors.TimeStamper(**options)
    with Client(server.url) as client:
        processor = StructlogProcessor(client)
        given = processor(None, "info", stamper(None, "info", {"event": "x"}))["timestamp"]
        assert processor.failures == 0
        (event,) = events(server, client)
    return event, given


@pytest.mark.parametrize("options", [*FORMATS, *UNREADABLE], ids=str)
def test_the_time_of_structlog_s_formats_is_now(
    server: Scripted, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        event, given = stamped(server, **options)
    time.tzset()
    assert abs(datetime.fromisoformat(event["timestamp"]).timestamp() - time.time()) < 5
    # A timestamp that could not be read is kept.
    assert event.get("metadata") == ({"timestamp": given} if options in UNREADABLE else None)


def test_a_time_that_is_nothing_of_the_kind_is_kept_as_its_text(server: Scripted) -> None:
    with Client(server.url) as client:
        StructlogProcessor(client)(None, "info", {"event": "x", "timestamp": [1]})
        StructlogProcessor(client)(None, "info", {"event": "x", "timestamp": float("inf")})
        assert [event["metadata"] for event in events(server, client)] == [{"timestamp": [1]}, {"timestamp": None}]
