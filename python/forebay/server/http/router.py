"""The route table: exact paths by dictionary, patterns by their segments."""

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forebay import errors
from forebay.errors import ForebayError
from forebay.server.http.error_envelopes import Family, family_of
from forebay.server.http.parameters import NO_PARAMETERS, Parameter, Parameters
from forebay.server.http.request import Request, shown
from forebay.server.http.response import Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.rsgi import Scope, WebSocketProtocol
from forebay.server.http.streaming import Streaming

if TYPE_CHECKING:
    from forebay.server.http.auth import Principal

Upgrade = Callable[[Scope, WebSocketProtocol, "Principal"], Awaitable[None]]
"""Serves a WebSocket to its end, or raises a `ForebayError` before it is accepted."""

Answer = Callable[[Request], Awaitable[Response | Streaming]]


class Role(enum.Enum):
    """The role that a route asks for. No role implies another."""

    NONE = "none"
    INGEST = "ingest"
    READ = "read"
    OPS = "ops"
    WORK = "work"


@dataclass(frozen=True)
class Segment:
    """A segment of a path whose values are of one form, which the handler checks.

    Attributes:
        text: its description.
        pattern: of the whole segment, as JSON Schema has it.
    """

    text: str
    pattern: str


@dataclass(slots=True, frozen=True)
class Route:
    """One row: `{name}` in the path binds one segment.

    Those from `summary` to `segments` are for OpenAPI; no request reads them.

    Attributes:
        body_limit: in bytes; 0 refuses any body.
        parameters: the known query parameters with their checks.
        upgrade: serves an upgrade to a WebSocket; None refuses it.
        summary: one line for people.
        shape: the type of the JSON body, any that msgspec has a schema of.
        headers: request headers beside `Authorization`.
        responses: by status, the successful responses, and others whose body is not the family's error envelope.
        errors: errors beside those that every such route may answer with (see `openapi.py`).
        segments: descriptions of path segments that `openapi.SEGMENTS` does not have.
        also: roles any of which does as well as `role`.
    """

    method: str
    path: str
    answer: Answer
    role: Role
    body_limit: int = 0
    parameters: Parameters = NO_PARAMETERS
    upgrade: Upgrade | None = None
    summary: str = ""
    shape: Any = None
    headers: tuple[Parameter[Any], ...] = ()
    responses: Mapping[int, ResponseSpec] = field(default_factory=dict)
    errors: tuple[type[ForebayError], ...] = ()
    segments: Mapping[str, str | Segment] = field(default_factory=dict)
    also: tuple[Role, ...] = ()

    @property
    def family(self) -> Family:
        return family_of(self.path)


class Router:
    """Looks routes up. Exact paths win over patterns."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[tuple[str, ...], dict[str, Route]]] = []
        for route in self.routes:
            methods = self._methods_at(route.path)
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path segments.

        Raises:
            NotFound: no route has the path.
            MethodNotAllowed: none of those with the path has the method.
        """
        bound: dict[str, str] = {}
        methods = self._exact.get(path)
        if methods is None:
            methods, bound = self._match(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
            raise errors.MethodNotAllowed(f"{path} does not take {shown(method)}, only {', '.join(allowed)}", allowed)
        return route, bound

    def _match(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        segments = path.split("/")
        for pattern, methods in self._patterns:
            if len(pattern) == len(segments):
                bound = _bind(pattern, segments)
                if bound is not None:
                    return methods, bound
        raise errors.NotFound(f"there is no route {shown(path)}")

    def _methods_at(self, path: str) -> dict[str, Route]:
        if "{" not in path:
            return self._exact.setdefault(path, {})
        pattern = tuple(path.split("/"))
        for known, methods in self._patterns:
            if known == pattern:
                return methods
        self._patterns.append((pattern, {}))
        return self._patterns[-1][1]


def _bind(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    bound = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            bound[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return bound
