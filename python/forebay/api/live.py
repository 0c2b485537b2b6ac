"""`/api/metrics` and what belongs to it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.http.reply import Reply
from forebay.http.response import Response, json_response
from forebay.http.router import Role, Route
from forebay.live import Metrics

if TYPE_CHECKING:
    from forebay.app import App
    from forebay.http.request import Request


class Reset(msgspec.Struct):
    """Totals, rates, latencies and the history begin anew; a load test was stopped."""

    success: Literal[True]
    message: Literal["System metrics and state reset"]


def routes(app: App) -> list[Route]:
    async def current(_request: Request) -> Response:
        return Response(200, app.live.encoded())

    async def reset(_request: Request) -> Response:
        for hook in app.on_reset:
            stopped = await app.blocking(hook)
            if inspect.isawaitable(stopped):
                await stopped
        await app.blocking(app.engine.reset_live)
        app.live.forget()
        return json_response(200, Reset(True, "System metrics and state reset"))

    return [
        Route(
            "GET",
            "/api/metrics",
            current,
            Role.READ,
            summary="What comes in by the events API, how fast, and what it takes.",
            replies={200: Reply(Metrics, "The figures, at most 50 ms old.")},
        ),
        Route(
            "POST",
            "/api/reset",
            reset,
            Role.OPS,
            summary="Begins the figures of /api/metrics and their history anew. What is stored is not touched.",
            replies={200: Reply(Reset)},
        ),
    ]
