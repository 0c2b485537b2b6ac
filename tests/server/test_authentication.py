"""Authentication over HTTP: the whole route table, both ways of a request, tokens that come and go."""

from __future__ import annotations

import http.client
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.server.http.router import Role, Route
from forebay.server.http.tokens import ALL_ROLES, RoleName, TokenStore
from support.harness import RunningServer, answer, batch, event, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def secrets(authenticated_server: RunningServer) -> dict[str, str]:
    """One token a role, and one for each limited to the project `mine`; known to the server when this returns."""
    store = TokenStore(authenticated_server.data_dir)
    made: dict[str, str] = {}
    for role in ALL_ROLES:
        made[role] = store.create(role, [role])
        made[f"mine-{role}"] = store.create(f"mine-{role}", [role], ["mine", "also-mine"])
    wait_for("the tokens", lambda: status(authenticated_server, "GET", "/nothing", made["mine-ops"]) == 404)
    return made


def status(running: RunningServer, method: str, path: str, secret: str | None, body: bytes = b"") -> int:
    with running.connect() as connection:
        head = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        if secret is not None:
            head.append(f"Authorization: {secret}")
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        # Not the body: that of a tail has no end.
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return response.status


def test_every_route_asks_for_its_role_and_nothing_else(
    authenticated_server: RunningServer, secrets: dict[str, str], table: list[Route]
) -> None:
    assert len(table) > 5
    for route in table:
        # Changes are asked of a stream that is not there: those of the engine's own are refused to everybody.
        path = route.path.replace("{name}", "logs" if route.method == "GET" else "nothing")
        for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
            bare = status(authenticated_server, method, path, None, batch())
            wrong = status(authenticated_server, method, path, "fby_wrong", batch())
            by_role = {role: status(authenticated_server, method, path, secrets[role], batch()) for role in ALL_ROLES}
            if route.role is Role.NONE:
                # `/` and `/docs/` lead to the page.
                assert {bare, wrong, *by_role.values()} in ({200}, {307}, {308}), path
                continue
            assert (bare, wrong) == (401, 401), path
            for role, found in by_role.items():
                allowed = {each.value for each in (route.role, *route.also)}
                assert (found == 403) == (role not in allowed), (method, path, role, found)
                assert 200 <= found < 500, (method, path, role, found)
                assert found != 401, (method, path, role, found)


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/api/v1/streams/x/y", "/v1/drain/", "//"])
def test_an_unknown_route_is_told_to_nobody_without_a_token(
    authenticated_server: RunningServer, secrets: dict[str, str], path: str
) -> None:
    assert status(authenticated_server, "GET", path, None) == 401
    assert status(authenticated_server, "GET", path, "fby_wrong") == 401
    assert {status(authenticated_server, "GET", path, secrets[role]) for role in ALL_ROLES} == {404}
    assert status(authenticated_server, "DELETE", "/health", None) == 401
    assert status(authenticated_server, "DELETE", "/health", secrets["read"]) == 405


def test_the_refusal_is_in_the_envelope_of_the_family_and_says_how(authenticated_server: RunningServer) -> None:
    with authenticated_server.connect() as connection:
        connection.sendall(b"GET /api/v1/streams HTTP/1.1\r\nHost: x\r\n\r\n")
        number, headers, body = answer(connection)
        assert (number, headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(body)["error"]["message"] == "UNAUTHORIZED"
        connection.sendall(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        number, headers, body = answer(connection)
        assert (number, headers["www-authenticate"]) == (401, "Bearer")
        assert json.loads(body)["code"] == "unauthorized"


def chunked(secret: str | None, body: bytes) -> bytes:
    lines = ["POST /v1/drain HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"]
    if secret:
        lines.append(f"Authorization: Bearer {secret}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_both_ways_check(authenticated_server: RunningServer, secrets: dict[str, str]) -> None:
    body = batch(event("both ways", project="both-ways"))
    for secret, expected in ((None, 401), ("fby_wrong", 401), (secrets["read"], 403), (secrets["ops"], 403)):
        assert status(authenticated_server, "POST", "/v1/drain", secret, body) == expected
        with authenticated_server.connect() as connection:
            connection.sendall(chunked(secret, body))
            assert answer(connection)[0] == expected
    assert not [record for record in authenticated_server.records() if record["key"] == "both-ways"]
    assert status(authenticated_server, "POST", "/v1/drain", secrets["ingest"], body) == 202
    with authenticated_server.connect() as connection:
        connection.sendall(chunked(secrets["ingest"], body))
        assert answer(connection)[0] == 202
    assert len([record for record in authenticated_server.records() if record["key"] == "both-ways"]) == 2


def test_a_token_writes_inside_its_projects_only(authenticated_server: RunningServer, secrets: dict[str, str]) -> None:
    secret = secrets["mine-ingest"]
    mixed = batch(event("ok", project="mine"), event("not ok", project="theirs"))
    for size in (0, 10_000):
        body = mixed + b" " * size
        assert status(authenticated_server, "POST", "/v1/drain", secret, body) == 403
    response = authenticated_server.drain(mixed, authorization=secret)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert "events[1]" in response.json()["error"]
    assert not [record for record in authenticated_server.records() if record["value"]["message"] in ("ok", "not ok")]
    assert (
        status(
            authenticated_server, "POST", "/v1/drain", secret, batch(event(project="mine"), event(project="also-mine"))
        )
        == 202
    )


def test_a_token_of_projects_sends_no_events(authenticated_server: RunningServer, secrets: dict[str, str]) -> None:
    """They have no project, so nothing says that they are its own."""
    one, tracked = b'{"type":"a","source":"mine","data":{}}', b'{"event":{"type":"a"},"user":{"id":"mine"}}'
    for path, body in (("/api/events", one), ("/v1/analytics/track", tracked)):
        for address, sent in ((path, body), (f"{path}/batch", b"[" + body + b"]")):
            assert status(authenticated_server, "POST", address, secrets["mine-ingest"], sent) == 403
            assert status(authenticated_server, "POST", address, secrets["ingest"], sent) in (200, 202)


def test_a_token_reads_its_projects_only(authenticated_server: RunningServer, secrets: dict[str, str]) -> None:
    assert (
        authenticated_server.drain(batch(event("r1", project="mine"), event("r2", project="theirs"))).status_code == 202
    )
    seen, offsets = [], []
    with authenticated_server.client() as client:
        client.headers["authorization"] = secrets["mine-read"]
        for partition in range(4):
            response = client.get("/api/v1/streams/logs/records", params={"partition": partition})
            assert response.status_code == 200
            seen += [json.loads(line) for line in response.text.splitlines()]
            offsets.append(int(response.headers["forebay-next-offset"]))
        listing = client.get("/api/v1/streams")
        assert listing.status_code == client.get("/metrics").status_code == 200
        other = client.get("/api/v1/streams/logs.rejected/records")
        assert (other.status_code, other.json()["error"]["message"]) == (403, "FORBIDDEN")
    assert {record["key"] for record in seen} <= {"mine", "also-mine"}
    assert "r1" in {record["value"]["message"] for record in seen}
    # Offsets go past what is left out.
    [logs] = [stream for stream in listing.json()["streams"] if stream["name"] == "logs"]
    assert offsets == [row["endOffset"] for row in logs["partitionDetails"]]


def test_a_token_stops_when_it_is_revoked(authenticated_server: RunningServer) -> None:
    store = TokenStore(authenticated_server.data_dir)
    secret = store.create("passing", ["ingest"])
    wait_for("the token", lambda: status(authenticated_server, "POST", "/v1/drain", secret, batch()) == 202, 5)
    store.revoke("passing")
    wait_for("its end", lambda: status(authenticated_server, "POST", "/v1/drain", secret, batch()) == 401, 5)


def test_a_broken_token_file_changes_nothing_and_is_logged(
    authenticated_server: RunningServer, secrets: dict[str, str]
) -> None:
    path = TokenStore(authenticated_server.data_dir).path
    good = path.read_bytes()

    def complaints() -> int:
        return sum("token file cannot be read" in line["event"] for line in authenticated_server.log_lines())

    path.write_bytes(good[:100])
    wait_for("the complaint", lambda: complaints() == 1, 5)
    assert status(authenticated_server, "POST", "/v1/drain", secrets["ingest"], batch()) == 202
    path.write_bytes(good)
    wait_for("the recovery", lambda: authenticated_server.log_lines()[-1]["event"] == "tokens were read anew", 5)
    assert complaints() == 1


def test_the_first_start_makes_a_token_and_keeps_the_secret_out_of_the_log(server: Start) -> None:
    running = server(auth=True)
    secret = running.first_token()
    for name in ("token", "tokens.json"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o600
    [told] = [line for line in running.log_lines() if "first token" in line["event"]]
    assert told["use"] == f'curl -H "Authorization: $(cat {running.data_dir / "token"})" …'
    assert running.drain(batch()).status_code == 202
    assert running.terminate() == 0
    assert secret not in (running.data_dir.with_suffix(".log")).read_text()
    running = server(auth=True)
    assert running.first_token() == secret
    assert not [line for line in running.log_lines() if "first token" in line["event"]]
    assert len(running.records()) == 1


def test_an_open_address_is_fine_with_tokens(server: Start) -> None:
    running = server("--host", "0.0.0.0", auth=True)
    running.url = running.url.replace("0.0.0.0", "127.0.0.1")
    assert running.drain(batch()).status_code == 202
    running.headers = {}
    assert running.drain(batch()).status_code == 401


def test_no_auth_asks_for_nothing_and_makes_nothing(server: Start) -> None:
    running = server()
    assert running.drain(batch(), authorization="nonsense").status_code == 202
    assert not (running.data_dir / "tokens.json").exists()


def test_roles_of_the_file_are_the_roles_of_the_table() -> None:
    roles: tuple[RoleName, ...] = ALL_ROLES
    assert {role.value for role in Role} - {"none"} == set(roles)


def test_a_data_directory_of_tokens_is_not_taken_for_orphans(server: Start, tmp_path: Path) -> None:
    running = server(auth=True)
    before = (tmp_path / "data" / "tokens.json").read_bytes()
    running.kill()
    running = server(auth=True)
    assert (tmp_path / "data" / "tokens.json").read_bytes() == before
