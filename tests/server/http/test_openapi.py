"""The document, from a table of routes made for the purpose."""

from typing import Annotated, Any

import msgspec
import pytest
from openapi_spec_validator import validate

from forebay import errors
from forebay.server.http.ingest_options import HEADERS
from forebay.server.http.openapi import document, failures
from forebay.server.http.parameters import REQUIRED, Parameters, choice, flag, text, whole
from forebay.server.http.request import Request
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route


class Inner(msgspec.Struct):
    """An inner one."""

    value: Annotated[int, msgspec.Meta(ge=1)]


class Outer(msgspec.Struct):
    inner: list[Inner]


async def answer(_request: Request) -> Response:
    return Response(200, b"")


PLAIN = Route(
    "GET", "/plain", answer, Role.NONE, summary="Plain.", responses={200: ResponseSpec(None, media="text/plain")}
)
ASKED = Route(
    "GET",
    "/api/v1/things/{name}/{part}",
    answer,
    Role.READ,
    parameters=Parameters(
        whole("limit", 3, 1, 10, "How many."),
        whole("offset", None, 0, 5, "Where.", words=("latest",)),
        choice("mode", "a", ("a", "b"), "Which."),
        flag("force", False, "Whether."),
        text("group", REQUIRED, "Whose.", pattern="[a-z]+"),
    ),
    summary="Asked.",
    responses={200: ResponseSpec(Outer, "Found.", ("Forebay-Next-Offset",)), 503: ResponseSpec(Inner, "Not now.")},
    errors=(errors.StreamNotFound,),
    segments={"part": "The part."},
)
SENT = Route("POST", "/api/sent", answer, Role.INGEST, 77, summary="Sent.", shape=list[Outer], headers=HEADERS)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    text = msgspec.json.encode(document([PLAIN, ASKED, SENT], "1.2.3"))
    return dict(msgspec.json.decode(text))


def test_it_is_a_valid_document(made: dict[str, Any]) -> None:
    validate(made)
    assert (made["openapi"], made["info"]["version"]) == ("3.1.0", "1.2.3")


def test_parameters_carry_the_range_and_the_default_that_are_checked(made: dict[str, Any]) -> None:
    operation = made["paths"]["/api/v1/things/{name}/{part}"]["get"]
    rows = {row["name"]: row for row in operation["parameters"]}
    assert rows["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 3}
    assert rows["offset"]["schema"] == {
        "oneOf": [{"enum": ["latest"]}, {"type": "integer", "minimum": 0, "maximum": 5}]
    }
    assert rows["mode"]["schema"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert rows["force"]["schema"] == {"type": "boolean", "default": False}
    assert rows["group"]["required"]
    assert "default" not in rows["group"]["schema"]
    assert [rows[name]["in"] for name in ("name", "part", "limit")] == ["path", "path", "query"]
    assert (rows["name"]["description"], rows["part"]["description"]) == ("The stream's name.", "The part.")


def test_roles_are_shown_and_public_routes_ask_for_none(made: dict[str, Any]) -> None:
    assert made["paths"]["/api/sent"]["post"]["security"] == [{"token": ["ingest"]}]
    assert "security" not in made["paths"]["/plain"]["get"]
    assert set(made["paths"]["/plain"]["get"]["responses"]) == {"200", "400", "500", "503"}


def test_bodies_and_headers_of_an_ingest_route(made: dict[str, Any]) -> None:
    operation = made["paths"]["/api/sent"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Outer"},
    }
    assert [row["name"] for row in operation["parameters"] if row["in"] == "header"] == [row.name for row in HEADERS]
    assert made["components"]["schemas"]["Inner"]["properties"]["value"]["minimum"] == 1
    for status in ("408", "413", "415", "422", "429", "504"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/EventsError"}
    assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_an_own_answer_at_a_status_of_refusals_allows_both(made: dict[str, Any]) -> None:
    answers = made["paths"]["/api/v1/things/{name}/{part}"]["get"]["responses"]
    assert answers["503"]["content"]["application/json"]["schema"] == {
        "anyOf": [{"$ref": "#/components/schemas/Inner"}, {"$ref": "#/components/schemas/StreamsError"}]
    }
    assert "1001 STREAM_NOT_FOUND" in answers["404"]["description"]
    assert "Forebay-Next-Offset" in answers["200"]["headers"]


def test_failures_follow_from_what_a_route_takes() -> None:
    assert 422 in failures(SENT)
    assert 422 not in failures(ASKED)
    assert set(failures(PLAIN)) == {400, 500, 503}
    assert {401, 403, 404} <= set(failures(ASKED))
