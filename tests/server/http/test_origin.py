"""Which pages may connect."""

from __future__ import annotations

from typing import Any, cast

import pytest

from forebay.errors import Forbidden
from forebay.server.http.websocket import check_origin

NOBODY: frozenset[str] = frozenset()


def check(origin: str | None, host: str | None, allowed: frozenset[str] = NOBODY) -> None:
    headers = {name: value for name, value in (("origin", origin), ("host", host)) if value is not None}
    check_origin(cast("Any", headers), allowed)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "forebay.example"),
        ("http://forebay.example", "forebay.example"),
        ("http://forebay.example:8080", "forebay.example:8080"),
        ("HTTP://Forebay.Example:8080", "forebay.example:8080"),
        ("https://forebay.example", "forebay.example"),
        ("http://forebay.example", "forebay.example:80"),
        ("https://forebay.example", "forebay.example:443"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_no_page_and_pages_of_this_host(origin: str | None, host: str) -> None:
    check(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "forebay.example"),
        ("http://forebay.example.evil.example", "forebay.example"),
        ("http://forebay.example:8081", "forebay.example:8080"),
        ("http://127.0.0.1:3000", "127.0.0.1:8080"),
        ("http://localhost:8080", "127.0.0.1:8080"),
        ("null", "forebay.example"),
        ("", "forebay.example"),
        ("file://", "forebay.example"),
        ("forebay.example", "forebay.example"),
        ("http://[::1", "[::1"),
        ("http://forebay.example:99999", "forebay.example:99999"),
        ("http://forebay.example", None),
        ("http://forebay.example", ""),
        ("http://", ""),
    ],
)
def test_pages_from_elsewhere_may_not(origin: str, host: str | None) -> None:
    with pytest.raises(Forbidden, match="websocket_origins"):
        check(origin, host)


def test_but_for_those_that_are_named() -> None:
    check("https://Dash.example", "forebay.example", frozenset({"https://dash.example"}))
    with pytest.raises(Forbidden):
        check("http://dash.example", "forebay.example", frozenset({"https://dash.example"}))
