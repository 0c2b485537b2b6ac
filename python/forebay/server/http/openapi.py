"""The OpenAPI 3.1 document, made from the route table and the msgspec types that its rows name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from forebay import errors
from forebay.errors import ForebayError
from forebay.server.http.error_envelopes import ENVELOPES, Family, error_name, status_of
from forebay.server.http.parameters import Parameter
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route, Segment
from forebay.server.http.tickets import REJOIN_SECONDS, TICKET, TICKET_SECONDS

VERSION = "3.1.0"

JsonObject = dict[str, Any]

SEGMENTS: Mapping[str, str] = {
    "name": "The stream's name.",
    "group": "The consumer group's name.",
    "memberId": "The member's id, as it was given to `memberId`.",
    "id": "The object's id.",
}
"""The description of each path segment."""

HEADERS: Mapping[str, JsonObject] = {
    "Accept-Ranges": {
        "description": "Parts may be asked for with `Range`.",
        "schema": {"type": "string", "const": "bytes"},
    },
    "Cache-Control": {
        "description": "Only the client itself may keep it, and asks whether it is still the same.",
        "schema": {"type": "string", "const": "private, no-cache"},
    },
    "Content-Disposition": {
        "description": "The name of the file.",
        "schema": {"type": "string"},
    },
    "Content-Range": {
        "description": "Which part of the file this is, or how long the file is of which there is no such part.",
        "schema": {"type": "string", "pattern": "^bytes (?:[0-9]+-[0-9]+|\\*)/[0-9]+$"},
    },
    "ETag": {
        "description": "Tells the file from every other one; a file never changes.",
        "schema": {"type": "string"},
    },
    "Forebay-As-Of": {
        "description": "The time that the answer is of: now, or, in a process that reads Redis and where nobody has "
        "published views for 15 seconds, when they were.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "Forebay-Durability": {
        "description": "The durability that the acknowledgement promises.",
        "schema": {"type": "string", "enum": ["fsync", "interval", "memory", "replicated"]},
    },
    "Forebay-Next-Offset": {
        "description": "Offset of the next page's first record.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Forebay-Records-Lost": {
        "description": "Number of offsets of this page without a record: it is damaged, or lost or never there since "
        "a repair. The next page begins behind them.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Location": {
        "description": "Where to go instead, relative to the address that was asked.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds after which a retry may succeed.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "The scheme of `Authorization`.",
        "schema": {"type": "string", "const": "Bearer"},
    },
}
"""Response headers. A response that names one always has it."""

_TOKEN = "token"  # noqa: S105 # a scheme's name

_TICKET = "ticket"

_ANY_ROUTE: tuple[type[ForebayError], ...] = (errors.InvalidRequest, errors.Internal, errors.Closed)
# Routes that ask for a token may wait for the log.
_WITH_ROLE: tuple[type[ForebayError], ...] = (errors.Unauthorized, errors.Forbidden, errors.Timeout)
_WITH_SEGMENT: tuple[type[ForebayError], ...] = (errors.NotFound,)
_WITH_BODY: tuple[type[ForebayError], ...] = (
    errors.Malformed,
    errors.PayloadTooLarge,
    errors.UnsupportedEncoding,
    errors.RequestTimeout,
    errors.Saturated,
    errors.StorageUnavailable,
)
_WITH_KEY: tuple[type[ForebayError], ...] = (errors.IdempotencyMismatch,)

_STATUS_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}

_DESCRIPTION = """\
A durable event-ingestion engine.

A token is sent as `Authorization: Bearer <token>` or as `Authorization: <token>`; the roles that a route asks for stand
beside its security scheme, and none implies another. Refusals have the envelope of the API family, by the longest
prefix of the path: `/api/v1`, `/api`, everything else. Unknown query parameters, and values out of
range, are refused. Every `GET` may be asked as `HEAD`."""


def document(routes: Iterable[Route], version: str) -> JsonObject:
    """The whole document as a JSON object. `version` is the server's."""
    table = sorted(routes, key=lambda route: (route.path, route.method))
    schemas, components = _schemas(table)
    paths: JsonObject = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": "forebay", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {name: dict(row, required=True) for name, row in HEADERS.items()},
            "securitySchemes": {
                _TOKEN: {"type": "http", "scheme": "bearer", "description": "Made by `forebay token create`."},
                _TICKET: {
                    "type": "apiKey",
                    "in": "query",
                    "name": TICKET.name,
                    "description": "Made by `POST /api/ticket` for a browser's `WebSocket`, `EventSource` or download, "
                    f"which cannot send a token; good for one request within {TICKET_SECONDS} seconds, and then for "
                    "the same tail or download again, as when its connection is lost, until it was away for "
                    f"{REJOIN_SECONDS} seconds.",
                },
            },
        },
    }


def failures(route: Route) -> dict[int, list[type[ForebayError]]]:
    """The errors that a route may answer with, by status: those of every route of its kind, and those of its row."""
    kinds = [*_ANY_ROUTE, *route.errors]
    if route.role is not Role.NONE:
        kinds += _WITH_ROLE
    if "{" in route.path:
        kinds += _WITH_SEGMENT
    if route.body_limit:
        kinds += _WITH_BODY
    if any(row.name.lower() == "idempotency-key" for row in route.headers):
        kinds += _WITH_KEY
    by_status: dict[int, list[type[ForebayError]]] = {}
    for kind in sorted(set(kinds), key=lambda kind: kind.number):
        by_status.setdefault(status_of(route.family, kind), []).append(kind)
    return by_status


def segments(route: Route) -> dict[str, str | Segment]:
    """The description of each `{name}` in the path; empty when neither the route nor `SEGMENTS` has one."""
    names = re.findall(r"\{(\w+)\}", route.path)
    return {name: route.segments.get(name, SEGMENTS.get(name, "")) for name in names}


def _schemas(table: list[Route]) -> tuple[dict[int, JsonObject], JsonObject]:
    """The schema of every type in the table, by the type's `id()` since not every type can be hashed, and the
    components that the schemas refer to."""
    shapes: list[Any] = list(dict.fromkeys(ENVELOPES[route.family] for route in table))
    for route in table:
        shapes += [shape for shape in (route.shape, *(reply.shape for reply in route.responses.values())) if shape]
    found, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    return {id(shape): schema for shape, schema in zip(shapes, found, strict=True)}, components


def _tag(route: Route) -> str:
    """What a route is about. The drain's envelope of errors is that of many others."""
    if route.family is not Family.DRAIN or route.path.startswith("/v1/drain"):
        return route.family.value
    return "analytics" if route.path.startswith("/metrics/") or route.path == "/healthz" else "server"


def _operation(route: Route, schemas: Mapping[int, JsonObject]) -> JsonObject:
    operation: JsonObject = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": [
            *(_segment(name, segment) for name, segment in segments(route).items()),
            # The security scheme describes the ticket already.
            *(_parameter("query", row) for row in route.parameters if row != TICKET),
            *(_parameter("header", row) for row in route.headers),
        ],
    }
    if route.parameters.family is not None:
        operation["description"] = route.parameters.family.description
    if route.role is not Role.NONE:
        # OpenAPI 3.1 lets schemes other than OAuth list the required roles.
        schemes = (_TOKEN, _TICKET) if TICKET in route.parameters else (_TOKEN,)
        operation["security"] = [{scheme: [role.value]} for scheme in schemes for role in (route.role, *route.also)]
    if route.shape is not None:
        operation["requestBody"] = {
            "required": True,
            "description": f"At most {route.body_limit} bytes, decompressed.",
            "content": {"application/json": {"schema": schemas[id(route.shape)]}},
        }
    operation["responses"] = _responses(route, schemas)
    return operation


def _operation_id(route: Route) -> str:
    # `/docs` and `/docs/` are two routes.
    return "_".join([route.method.lower(), *re.findall(r"\w+|/$", route.path)]).replace("/", "slash")


def _segment(name: str, segment: str | Segment) -> JsonObject:
    schema: JsonObject = {"type": "string", "minLength": 1}
    if isinstance(segment, Segment):
        schema["pattern"] = segment.pattern
    text = segment.text if isinstance(segment, Segment) else segment
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _parameter(place: str, row: Parameter[Any]) -> JsonObject:
    schema = dict(row.schema)
    if not row.required and row.default is not None:
        schema["default"] = row.default
    return {
        "name": row.name,
        "in": place,
        "required": row.required,
        "description": row.description,
        "schema": schema,
    }


def _responses(route: Route, schemas: Mapping[int, JsonObject]) -> JsonObject:
    answers: dict[int, JsonObject] = {}
    for status, reply in route.responses.items():
        answers[status] = _response(reply, schemas)
    envelope = schemas[id(ENVELOPES[route.family])]
    for status, kinds in failures(route).items():
        text = " ".join(f"`{error_name(route.family, kind)}`: {(kind.__doc__ or '').splitlines()[0]}" for kind in kinds)
        refused = _content(text, "application/json", envelope, _STATUS_HEADERS.get(HTTPStatus(status), ()))
        if status in answers:
            # The route has a body of its own at that status, and may also be refused before it runs.
            own = answers[status]["content"].setdefault("application/json", {"schema": {}})
            own["schema"] = {"anyOf": [own["schema"], envelope]}
            answers[status]["description"] += f" {text}"
        else:
            answers[status] = refused
    return {str(status): answers[status] for status in sorted(answers)}


def _response(reply: ResponseSpec, schemas: Mapping[int, JsonObject]) -> JsonObject:
    schema = {"type": "string"} if reply.shape is None else schemas[id(reply.shape)]
    content = _content(reply.description, reply.media, schema, reply.headers)
    for media in reply.other_media:
        content["content"][media] = {"schema": schema}
    return content


def _content(text: str, media: str, schema: JsonObject, headers: Iterable[str]) -> JsonObject:
    content: JsonObject = {"description": text}
    if media:
        content["content"] = {media: {"schema": schema}}
    names = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    if names:
        content["headers"] = names
    return content
