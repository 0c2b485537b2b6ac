"""Shows what comes onto a stream as it comes: Server-Sent Events, with the standard library.

    FOREBAY_TOKEN=... python examples/live_tail.py logs 'value.level == "error"'

The server evaluates the filter (CEL). After a lost connection the tail goes on behind the last event it has shown: none
is lost and none comes twice.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote, urlencode

API = os.environ.get("FOREBAY_URL", "http://127.0.0.1:8080") + "/api/v1"
TOKEN = os.environ.get("FOREBAY_TOKEN", "")
QUIET_SECONDS = 60
"""The server sends a comment at least every 15 s; without one for so long the connection is dead."""


def messages(lines: Iterator[bytes]) -> Iterator[dict[str, str]]:
    """The messages of a stream of Server-Sent Events (HTML, section 9.2), each as its fields."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\n")
        if line.startswith(":"):
            continue  # a comment, which keeps the connection alive
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def tail(stream: str, filter_: str | None, position: str | None) -> Iterator[dict[str, str]]:
    """The messages of one connection."""
    query = urlencode({"filter": filter_} if filter_ else {})
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    if position:
        headers["Last-Event-ID"] = position
    request = urllib.request.Request(f"{API}/streams/{quote(stream)}/tail?{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=QUIET_SECONDS) as answer:
        yield from messages(answer)


def follow(stream: str, filter_: str | None) -> Iterator[dict[str, str]]:
    """The messages from now on, over lost connections and restarts of the server."""
    position: str | None = None
    while True:
        try:
            for message in tail(stream, filter_, position):
                position = message.get("id", position)
                yield message
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
        except OSError as error:
            print(f"connection lost: {error}", file=sys.stderr)
        time.sleep(1)


def main() -> None:
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    stream, filter_ = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    try:
        for message in follow(stream, filter_):
            kind = message.get("event", "message")
            if kind == "message" and "data" in message:
                event = json.loads(message["data"])
                print(event["timestamp"], json.dumps(event["value"]), flush=True)
            elif kind in ("gap", "end"):
                print(f"{kind}: {message['data']}", file=sys.stderr, flush=True)
    except urllib.error.HTTPError as error:
        sys.exit(error.read().decode())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
