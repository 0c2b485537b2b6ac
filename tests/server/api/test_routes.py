"""The route table itself."""

import re

from forebay.server.api.platform.jobs import MAX_JOB_BYTES
from forebay.server.api.processors import MAX_DEFINITION_BYTES
from forebay.server.api.streams.consumers import MAX_COMMIT_BYTES
from forebay.server.config import Settings
from forebay.server.http.body import MAX_BODY_BYTES
from forebay.server.http.router import Role, Route
from support.harness import RunningServer

WITHOUT_TOKEN = {"/health", "/healthz", "/readyz", "/v1/healthz", "/", "/docs", "/docs/"}
EVENTS = "/api/v1/streams/{name}/events"
INGEST = {
    ("POST", path + batch) for path in (EVENTS, "/api/events", "/v1/analytics/track") for batch in ("", "/batch")
} | {("POST", "/v1/drain")}
SMALL_BODIES = {
    ("POST", "/api/v1/streams"),
    ("PATCH", "/api/v1/streams/{name}"),
    ("POST", "/api/load-test"),
    ("POST", "/api/scale"),
}
DEFINITIONS = {("POST", "/api/v1/processors"), ("POST", "/api/v1/processors/preview")}
SYSTEM = "/api/v1/platform/system"
WORK = {
    ("POST", f"{SYSTEM}/queues/{{queue}}/lease"),
    *(("POST", f"{SYSTEM}/jobs/{{id}}/{end}") for end in ("complete", "fail", "heartbeat")),
}
ENQUEUE = ("POST", f"{SYSTEM}/queues/{{queue}}/jobs")
COMMIT = "/api/v1/consumers/{group}/commit"


def test_exactly_the_public_routes_need_no_token(table: list[Route]) -> None:
    for route in table:
        assert (route.role is Role.NONE) == (route.path in WITHOUT_TOKEN), route.path


def test_every_role_is_that_of_its_kind(table: list[Route]) -> None:
    for route in table:
        if (route.method, route.path) in INGEST:
            assert route.role is Role.INGEST
        elif route.path == "/api/ticket":
            assert route.role is Role.READ, "it opens nothing but what is read"
        elif route.path == COMMIT or route.path.endswith("/members/{memberId}"):
            assert route.role is Role.READ, "it is part of consuming"
        elif (route.method, route.path) in WORK:
            assert route.role is Role.WORK, "it is what a worker does"
        elif route.path.startswith("/api/v1/platform/system/"):
            assert route.role is Role.OPS, "it is about the whole system"
        elif route.path == "/api/load-test":
            assert route.role is Role.OPS, "whoever looks at it runs it"
        elif route.method == "GET" and route.role is not Role.NONE:
            assert route.role is Role.READ, route.path
        elif route.role is not Role.NONE:
            assert route.role is Role.OPS, route.path


def test_only_enqueueing_takes_another_role_as_well(table: list[Route]) -> None:
    assert {(route.method, route.path): route.also for route in table if route.also} == {ENQUEUE: (Role.INGEST,)}


def test_only_some_take_a_body_and_within_the_limit(table: list[Route]) -> None:
    limits = dict.fromkeys(INGEST, Settings().max_body_bytes) | dict.fromkeys(SMALL_BODIES, MAX_BODY_BYTES)
    limits["POST", COMMIT] = MAX_COMMIT_BYTES
    limits |= dict.fromkeys({*WORK, ENQUEUE}, MAX_JOB_BYTES)
    limits |= dict.fromkeys(DEFINITIONS, MAX_DEFINITION_BYTES)
    for route in table:
        assert route.body_limit == limits.get((route.method, route.path), 0), route.path


def test_get_changes_nothing_so_it_takes_no_body(table: list[Route]) -> None:
    assert all(route.body_limit == 0 for route in table if route.method == "GET")


def test_another_method_is_told_those_that_the_route_takes(table: list[Route], shared_server: RunningServer) -> None:
    """RFC 9110, section 15.5.6."""
    with shared_server.client() as client:
        for path in {route.path for route in table}:
            allowed = {route.method for route in table if route.path == path}
            if "GET" in allowed:
                allowed.add("HEAD")
            refused = client.put(re.sub(r"\{\w+\}", "logs", path))
            assert refused.status_code == 405
            assert set(refused.headers["allow"].split(", ")) == allowed, path
