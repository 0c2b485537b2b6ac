"""Where `inspect` and `read` read from: a stopped server's directory, or a running one's URL."""

from __future__ import annotations

import contextlib
import http
import json
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import msgspec

from forebay import errors
from forebay.cli.api import Api
from forebay.cli.options import DEFAULT_DATA_DIR, check_data_dir
from forebay.embedded.log import Log
from forebay.embedded.log import open as open_log
from forebay.server.api.streams.streams import MAX_PAGE_BYTES, describe

PAGE_RECORDS = 1_000
"""Records asked for at once. A page is at most `MAX_PAGE_BYTES`, whatever the records' size."""

OPENED_READ_ONLY = "opened read-only"
"""The engine's reason where nothing but its caller keeps the log from taking writes."""

_WHY_READ_ONLY = frozenset({"mode", "reason"})

_OF_A_PROCESS = _WHY_READ_ONLY | {
    "durability",
    "workers",
    "ring_used_bytes",
    "ring_limit_bytes",
    "seal_backlog_files",
    "commit_queue",
    "sealer_stuck",
    "troubles",
    "clock_doubt",
    "clock_problem",
}
"""A stopped log has none of these: for a directory they are figures of the command that looks, not of the server."""


class Source(Protocol):
    def streams(self) -> list[dict[str, Any]]:
        """Every stream's metadata, as `GET /api/v1/streams` shows it."""

    def page(self, stream: str, partition: int, offset: int, limit: int) -> tuple[bytes, int, int]:
        """At most `limit` records as NDJSON, the offset after them, and how many offsets between had no record."""

    def status(self) -> dict[str, Any]: ...


class Directory:
    """The data directory of a server that is not running, opened read-only."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def streams(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(describe(stream)) for stream in self._log.streams()]

    def page(self, stream: str, partition: int, offset: int, limit: int) -> tuple[bytes, int, int]:
        records = self._log.read(stream, offset, partition=partition, max_records=limit, max_bytes=MAX_PAGE_BYTES)
        return records.ndjson(), records.next_offset, records.records_lost

    def status(self) -> dict[str, Any]:
        found = self._log.stats()
        hidden = _OF_A_PROCESS if found["reason"] == OPENED_READ_ONLY else _OF_A_PROCESS - _WHY_READ_ONLY
        return {name: value for name, value in found.items() if name not in hidden}


class Server:
    """A running server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def streams(self) -> list[dict[str, Any]]:
        body, _ = self._api.get("/api/v1/streams")
        listing: list[dict[str, Any]] = json.loads(body)["streams"]
        return listing

    def page(self, stream: str, partition: int, offset: int, limit: int) -> tuple[bytes, int, int]:
        query = urlencode({"partition": partition, "offset": offset, "limit": limit})
        body, headers = self._api.get(f"/api/v1/streams/{quote(stream, safe='')}/records?{query}")
        return body, int(headers["forebay-next-offset"]), int(headers["forebay-records-lost"])

    def status(self) -> dict[str, Any]:
        status, body, _ = self._api.request("GET", "/readyz")
        found: dict[str, Any] = json.loads(body)
        # Its readiness is told once, by the name that a person looks for.
        found.pop("status", None)
        return {"ready": status == http.HTTPStatus.OK, **found}


@contextlib.contextmanager
def source(data_dir: str | None, url: str | None, token: str | None) -> Iterator[Source]:
    """The server at `url`, or, when that is None, the directory `data_dir`."""
    if url:
        with contextlib.closing(Api(url, token)) as api:
            yield Server(api)
        return
    with opened(data_dir) as log:
        yield Directory(log)


def opened(data_dir: str | None) -> Log:
    """The log in the directory of a stopped server, read-only.

    Raises:
        DirectoryLocked: a server runs on it.
    """
    directory = data_dir or DEFAULT_DATA_DIR
    check_data_dir(directory)
    try:
        return open_log(directory, read_only=True)
    except errors.DirectoryLocked:
        raise errors.DirectoryLocked(
            f"the data directory {directory!r} belongs to a running server; read from it with --url http://host:port"
        ) from None
