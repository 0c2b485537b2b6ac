import threading

import pytest

from client.proxy import Answer, scripted
from forebay.cli.send import Batch, DrainConnection, Line, Refused, drain_of
from forebay.client.transport import DeliveryFailed


def test_targets() -> None:
    target = drain_of("http://localhost:8080/", "t")
    assert (target.host, target.port, target.path, target.secure) == ("localhost", 8080, "", False)
    assert drain_of("https://h/base", None).path == "/base"
    assert drain_of("https://h/base", None).port == 443
    assert drain_of("http://[::1]:9/v1/drain", None).path == ""
    for url in ("localhost:8080", "ftp://h", "http://", "http://h/?q=1"):
        with pytest.raises(ValueError, match="is not http://host:port"):
            drain_of(url, None)


def refusal_of(answer: Answer) -> Refused | DeliveryFailed:
    batch = Batch([Line(number, b"{%d}" % number, number) for number in range(3)])
    with scripted(lambda _: answer) as server:
        delivery = DrainConnection(
            drain_of(server.url, None), patience_seconds=1, stop=threading.Event(), on_retry=lambda _: None
        )
        try:
            delivery.post(batch)
        except (Refused, DeliveryFailed) as refusal:
            return refusal
        finally:
            delivery.close()
    raise AssertionError


@pytest.mark.parametrize(
    ("status", "error", "index", "reason"),
    [
        (400, "events[1].level: must not be empty", 1, "level: must not be empty"),
        (403, "events[2]: the token may not write this project", 2, "the token may not write this project"),
        (400, "the body is not valid JSON: lone surrogate at byte 16", 1, "the body is not valid JSON: lone surrogate"),
        (400, "the body is not valid JSON: lone surrogate at byte 99", None, "400: the body is not valid"),
        (400, "what", None, "400: what"),
        (413, "the body has 9 bytes", None, "413: the body has"),
    ],
)
def test_a_refusal_is_owed_to_one_event_or_to_any(status: int, error: str, index: int | None, reason: str) -> None:
    refusal = refusal_of(Answer(status, b'{"error":"%s","code":"x"}' % error.encode()))
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.index) == (status, index)
    assert refusal.reason.startswith(reason)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_of_the_request_is_owed_to_no_event(status: int) -> None:
    assert isinstance(refusal_of(Answer(status, b"<html>plain HTTP to an HTTPS port</html>")), DeliveryFailed)
    if status != 400:
        assert isinstance(refusal_of(Answer(status, b'{"error":"no","code":"x"}')), DeliveryFailed)


def test_a_size_may_be_refused_by_what_is_in_between() -> None:
    assert isinstance(refusal_of(Answer(413, b"<html>Request Entity Too Large</html>")), Refused)
