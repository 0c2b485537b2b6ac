"""A few calls of the server's API, beside what is measured."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

ANSWER_SECONDS = 60.0
PAGE_RECORDS = 10_000


def authorization() -> dict[str, str]:
    """From $FOREBAY_TOKEN; nothing for a server without authentication."""
    token = os.environ.get("FOREBAY_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


class Refused(Exception):
    """An answer that is no 2xx, or none at all, with what was asked."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """At one server."""

    def __init__(self, host: str) -> None:
        self._host = host.rstrip("/")

    def call(self, method: str, path: str, body: Any = None) -> tuple[bytes, Any]:
        """The answer's body and headers. Raises Refused."""
        request = urllib.request.Request(
            self._host + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=authorization(),
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            detail = error.read(500).decode(errors="replace")
            raise Refused(f"{method} {path} was answered with {error.code}: {detail}", error.code) from None
        except OSError as error:
            raise Refused(f"{method} {path} has no answer: {error}") from None

    def partitions(self, stream: str) -> list[tuple[int, int]]:
        """The first kept offset and the end of each partition; none of a stream that is not there."""
        try:
            text, _ = self.call("GET", f"/api/v1/streams/{stream}")
        except Refused as refused:
            if refused.status == 404:
                return []
            raise
        return [(row["startOffset"], row["endOffset"]) for row in json.loads(text)["partitionDetails"]]

    def pages(self, stream: str, partition: int, first: int, end: int) -> Iterator[bytes]:
        """The records of [first, end) as NDJSON, and perhaps some behind."""
        while first < end:
            where = f"partition={partition}&offset={first}&limit={PAGE_RECORDS}"
            text, headers = self.call("GET", f"/api/v1/streams/{stream}/records?{where}")
            yield text
            following = int(headers["forebay-next-offset"])
            if following <= first:
                return
            first = following

    def committed(self, group: str, stream: str) -> dict[int, int]:
        """The offsets of a group by partition."""
        text, _ = self.call("GET", f"/api/v1/consumers/{group}")
        return {row["partition"]: row["offset"] for row in json.loads(text)["offsets"] if row["stream"] == stream}
