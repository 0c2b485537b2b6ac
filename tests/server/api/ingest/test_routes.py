"""One table of the routes that take events: the server's, the client's and the bench's are rows of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import forebay
from forebay._forebay import ingest_routes
from forebay.cli.commands import bench
from forebay.server.api.ingest.routes import SPECS
from forebay.server.config import Settings
from forebay.server.http.ingest import WITHOUT_QUARANTINE
from forebay.server.http.ingest_options import HEADERS
from forebay.server.http.router import Role, Route

PACKAGE = Path(forebay.__file__).parent
SENDERS = sorted([*PACKAGE.glob("client/**/*.py"), *PACKAGE.glob("cli/**/*.py")])
PREFIXES = ("/v1/", "/api/events", "/api/v1/streams/{")


def test_every_row_is_a_route_of_the_server(table: list[Route]) -> None:
    rows = {(row.method, row.path): row for row in ingest_routes()}
    taking = {(route.method, route.path): route for route in table if route.role is Role.INGEST}
    assert taking.keys() == rows.keys()
    for place, row in rows.items():
        route = taking[place]
        assert (route.role.value, route.summary) == (row.role, row.summary)
        assert route.family.value == row.api
        assert route.body_limit == row.body_limit(Settings().max_body_bytes) > 0
        assert route.headers == (HEADERS if row.quarantine else WITHOUT_QUARANTINE)


def test_every_description_is_of_a_row() -> None:
    rows = {row.name: row for row in ingest_routes()}
    assert SPECS.keys() <= rows.keys()
    assert all(row.max_events >= 1 for row in rows.values())


def paths_in(path: Path) -> Iterator[str]:
    """The paths of ingest routes that stand in a file, with `{name}` for what is filled in."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{name}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            text = node.value
        if text.startswith(PREFIXES) and text.partition("{name}")[2].partition("?")[0] != "/records":
            yield text


def test_what_sends_events_sends_them_to_a_row() -> None:
    """The client imports nothing of the engine, so that its paths are its own."""
    rows = {row.name: row.path for row in ingest_routes() if row.method == "POST"}
    found = {text for path in SENDERS for text in paths_in(path)}
    assert found <= set(rows.values())
    assert {rows[name] for name in ("drain", "event-batch", "track-batch", "publish-batch")} <= found


@pytest.mark.parametrize("name", ["drain", "event", "event-batch", "track", "publish", "publish-batch"])
def test_the_bench_names_its_contents_as_the_rows_are(name: str) -> None:
    row = next(row for row in ingest_routes() if row.name == name)
    assert (name in bench._SINGLE) == (row.max_events == 1)
    assert bench._PATHS.get(name) == (None if row.stream is None else row.path)
