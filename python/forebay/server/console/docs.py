"""`GET /openapi.json`, and `GET /docs`, a page that shows it and loads nothing else. `GET /` and `GET /docs/`, which
people type, redirect to the page."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from forebay.server.http.openapi import document
from forebay.server.http.response import Header, Response
from forebay.server.http.response_spec import ResponseSpec
from forebay.server.http.router import Role, Route

if TYPE_CHECKING:
    from forebay.server.http.request import Request
    from forebay.server.services import Services

_HTML: Header = ("content-type", "text/html; charset=utf-8")


def page() -> Response:
    """The page with its script and style inline, and a policy that lets nothing else run: text of the document or of an
    answer stays text."""
    assets = files("forebay.server.console")
    shell, script, style = ((assets / name).read_text("utf-8") for name in ("docs.html", "docs.js", "docs.css"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    body = shell.replace("{{style}}", style).replace("{{script}}", script)
    headers = [
        _HTML,
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ]
    return Response(200, body.encode(), headers)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def routes(services: Services) -> list[Route]:
    shell = page()
    # Made on the first request, since it needs the finished route table.
    made: list[Response] = []

    async def openapi(_request: Request) -> Response:
        if not made:
            made.append(Response(200, msgspec.json.encode(document(services.router.routes, version("forebay")))))
        return made[0]

    async def docs(_request: Request) -> Response:
        return shell

    # Relative, so that they hold behind a proxy that serves all of this below a path of its own.
    async def from_root(_request: Request) -> Response:
        return Response(HTTPStatus.TEMPORARY_REDIRECT, b"", [("location", "docs")])

    async def from_slash(_request: Request) -> Response:
        return Response(HTTPStatus.PERMANENT_REDIRECT, b"", [("location", "../docs")])

    return [
        Route(
            "GET",
            "/openapi.json",
            openapi,
            Role.READ,
            summary="This document.",
            responses={200: ResponseSpec(dict[str, Any], "OpenAPI 3.1.")},
        ),
        Route(
            "GET",
            "/docs",
            docs,
            Role.NONE,
            summary="This document for people: routes, schemas, and a form to try them.",
            responses={200: ResponseSpec(None, "A page that asks for a token and loads this.", media="text/html")},
        ),
        Route(
            "GET",
            "/",
            from_root,
            Role.NONE,
            summary="Leads to the page `/docs`.",
            responses={307: ResponseSpec(None, "The page is at `/docs`.", media="", headers=("Location",))},
        ),
        Route(
            "GET",
            "/docs/",
            from_slash,
            Role.NONE,
            summary="Leads to the page `/docs`.",
            responses={308: ResponseSpec(None, "The page is at `/docs`.", media="", headers=("Location",))},
        ),
    ]
