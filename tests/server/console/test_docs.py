"""The document of the real table, and the page that shows it."""

import base64
import hashlib
import re

import pytest
from openapi_spec_validator import validate

from forebay.server.http.openapi import HEADERS, failures, segments
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route
from forebay.server.http.tickets import TICKET
from support.harness import RunningServer, serving


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_is_described(table: list[Route]) -> None:
    for route in table:
        assert re.fullmatch(r"[A-Z].+\.", route.summary), f"{named(route)} has no summary that is a sentence"
        assert any(status < 400 for status in route.responses), f"{named(route)} says nothing of its success"
        assert (route.shape is not None) == (route.body_limit > 0), f"{named(route)}: body and shape go together"
        for name, segment in segments(route).items():
            text = segment if isinstance(segment, str) else segment.text
            assert text, f"{named(route)}: {{{name}}} is not described"
        for row in (*route.parameters, *route.headers):
            assert row.description.endswith("."), f"{named(route)}: {row.name} is not described"
            assert row.schema, f"{named(route)}: {row.name} has no type"
            if not row.required and row.default is not None:
                assert row.value(str(row.default).lower() if row.default in (True, False) else str(row.default)) == (
                    row.default
                ), f"{named(route)}: the default of {row.name} is not among its values"
        for reply in route.responses.values():
            assert isinstance(reply, ResponseSpec)
            assert set(reply.headers) <= set(HEADERS), f"{named(route)}: a header that HEADERS does not have"
            assert (reply.shape is not None) == (reply.media == "application/json"), named(route)


def test_no_refusal_is_declared_that_is_there_already(table: list[Route]) -> None:
    for route in table:
        assert len(route.errors) == len(set(route.errors)), named(route)
        assert all(kind in failures(route)[kind.http_status] for kind in route.errors)


def test_the_document_has_every_route_and_is_valid(table: list[Route], shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        made = client.get("/openapi.json").raise_for_status().json()
    validate(made)
    shown = {(method.upper(), path) for path, methods in made["paths"].items() for method in methods}
    assert shown == {(route.method, route.path) for route in table}
    operations = [operation["operationId"] for methods in made["paths"].values() for operation in methods.values()]
    assert len(operations) == len(set(operations))


def test_the_page_is_whole_and_its_policy_lets_only_it_run(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        response = client.get("/docs").raise_for_status()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "{{" not in response.text
    assert not re.search(r"""(?:src|href)\s*=|https?://|url\(|@import|\son\w+=|style=""", response.text)
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for tag in ("script", "style"):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize(("path", "status", "location"), [("/", 307, "docs"), ("/docs/", 308, "../docs")])
def test_what_people_type_leads_to_the_page(
    shared_server: RunningServer, path: str, status: int, location: str
) -> None:
    with shared_server.client() as client:
        client.headers.pop("authorization", None)
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"], answer.content) == (status, location, b"")
        assert client.get(path, follow_redirects=True).url == f"{shared_server.url}/docs"
        assert client.head(path).status_code == status


def test_the_start_s_log_line_names_the_page(shared_server: RunningServer) -> None:
    [line] = [line for line in shared_server.log_lines() if line.get("event") == "serving"]
    assert line["page"] == f"{shared_server.url}/docs"


def test_the_page_needs_no_token_and_the_document_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("docs") / "data", auth=True) as server, server.client() as client:
        client.headers.pop("authorization")
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").status_code == 401
        assert client.get("/openapi.json", headers=server.headers).status_code == 200


def test_public_routes_show_no_security(table: list[Route], shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    for route in table:
        operation = paths[route.path][route.method.lower()]
        schemes = ("token", "ticket") if TICKET in route.parameters else ("token",)
        roles = (route.role, *route.also)
        each = [{scheme: [role.value]} for scheme in schemes for role in roles]
        expected = None if route.role is Role.NONE else each
        assert operation.get("security") == expected, named(route)
