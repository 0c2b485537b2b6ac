import json
from pathlib import Path

import pytest

from forebay import errors
from forebay.server.http.error_envelopes import Family, family_of, render, status_of


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/", Family.DRAIN),
        ("/v1/drain", Family.DRAIN),
        ("/v1/analytics", Family.ANALYTICS),
        ("/v1/analytics/track", Family.ANALYTICS),
        ("/v1/analyticsx", Family.DRAIN),
        ("/apix", Family.DRAIN),
        ("/api", Family.EVENTS),
        ("/api/events", Family.EVENTS),
        ("/api/v1x", Family.EVENTS),
        ("/api/v1", Family.STREAMS),
        ("/api/v1/streams", Family.STREAMS),
        ("/api/v1/platformx", Family.STREAMS),
        ("/api/v1/platform", Family.PLATFORM),
        ("/api/v1/platform/system/queues", Family.PLATFORM),
    ],
)
def test_the_longest_prefix_wins(path: str, family: Family) -> None:
    assert family_of(path) is family


ENVELOPES = {
    Family.DRAIN: {"error": "no such thing", "code": "stream_not_found"},
    Family.EVENTS: {"success": False, "error": "no such thing"},
    Family.STREAMS: {
        "error": {
            "code": 1001,
            "message": "STREAM_NOT_FOUND",
            "description": "The specified stream does not exist",
            "detail": "no such thing",
        }
    },
    Family.ANALYTICS: {"error": "no such thing", "code": "stream_not_found"},
    Family.PLATFORM: {"success": False, "error": {"code": "stream_not_found", "message": "no such thing"}},
}


@pytest.mark.parametrize("family", Family)
def test_each_family_has_its_envelope(family: Family) -> None:
    response = render(family, errors.StreamNotFound("no such thing"))
    assert response.status == 404
    assert json.loads(response.body) == ENVELOPES[family]


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("kind", errors.classes().values(), ids=lambda kind: kind.__name__)
def test_every_error_renders_in_every_family(family: Family, kind: type[errors.ForebayError]) -> None:
    response = render(family, kind("why"))
    assert response.status == status_of(family, kind)
    publish_failed = family is Family.ANALYTICS and kind is errors.StorageUnavailable
    assert response.status == (500 if publish_failed else kind.http_status)
    if publish_failed:
        assert json.loads(response.body) == {"error": "why", "code": "publish_failed"}
    assert json.loads(response.body)
    assert (("retry-after", "1") in response.headers) == (kind.http_status in (429, 503))


def test_every_byte_of_a_refusal_is_what_it_was() -> None:
    """Every row in every family, with texts that have to be escaped, as the first release wrote them."""
    rows = json.loads((Path(__file__).parent / "refusals.json").read_text())
    assert {(row["family"], row["number"]) for row in rows} == {(f.value, n) for f in Family for n in errors.classes()}
    for row in rows:
        response = render(Family(row["family"]), errors.from_kind(row["number"], row["detail"], row["wait"]))
        expected = [tuple(header) for header in row["headers"] if header[0] != "allow"]
        # No method was named where the error was made.
        assert [header for header in response.headers if header[0] != "allow"] == expected
        assert (response.status, response.body.decode()) == (row["status"], row["body"])


@pytest.mark.parametrize(("wait", "told"), [(0.001, "1"), (1.0, "1"), (1.001, "2"), (3600.5, "3601")])
def test_a_wait_that_is_known_is_rounded_up_to_whole_seconds(wait: float, told: str) -> None:
    error = errors.from_kind(errors.Saturated.number, "the token may send later", wait)
    response = render(Family.DRAIN, error)
    assert ("retry-after", told) in response.headers
    assert json.loads(response.body) == {"error": "the token may send later", "code": "backpressure_triggered"}


def test_a_saturated_drain_answers_as_documented() -> None:
    response = render(Family.DRAIN, errors.Saturated("the ring is full"))
    assert response.body == b'{"error":"server saturated","code":"backpressure_triggered"}'


@pytest.mark.parametrize("family", Family)
def test_a_method_that_is_not_allowed_names_those_that_are(family: Family) -> None:
    assert ("allow", "GET, HEAD") in render(family, errors.MethodNotAllowed("x", ["GET", "HEAD"])).headers
    assert not any(name == "allow" for name, _ in render(family, errors.NotFound("x")).headers)


def test_close_is_said() -> None:
    assert ("connection", "close") in render(Family.DRAIN, errors.Malformed("x"), close=True).headers
    assert ("connection", "close") not in render(Family.DRAIN, errors.Malformed("x")).headers
