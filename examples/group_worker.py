"""A worker of a consumer group over HTTP, with the standard library.

    FOREBAY_TOKEN=... python examples/group_worker.py orders billing worker-1 [EVENTS]

Start as many as the stream has partitions, each with a name of its own: they share the partitions, and when one dies
its lease ends and the others go on from what it had committed. Events are done at least once: work first, then commit.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

API = os.environ.get("FOREBAY_URL", "http://127.0.0.1:8080") + "/api/v1"
TOKEN = os.environ.get("FOREBAY_TOKEN", "")
POLL_MILLISECONDS = 5000
"""A poll returns at once when there is an event, and holds the lease while it waits."""


def call(method: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=POLL_MILLISECONDS / 1000 + 30) as answer:
        return json.load(answer)


def handle(event: dict[str, Any]) -> None:
    """The work. It may see an event twice, after a crash or when the group is shared out anew; `eventId` tells."""
    print(f"{event['partition']}/{event['offset']} {event['key']}: {json.dumps(event['value'])}", flush=True)


def work_once(stream: str, group: str, member: str) -> int:
    """Polls, works and commits; how many events that were."""
    query = urlencode({"consumerGroup": group, "memberId": member, "timeout": POLL_MILLISECONDS})
    polled = call("GET", f"/streams/{quote(stream)}/events?{query}")
    for event in polled["events"]:
        handle(event)
    if polled["events"]:
        # The positions behind everything that was given: also past what a filter or damage left out.
        offsets = [
            {"stream": stream, "partition": int(partition), "offset": offset}
            for partition, offset in polled["metadata"]["nextOffsets"].items()
        ]
        call("POST", f"/consumers/{quote(group)}/commit", {"memberId": member, "offsets": offsets})
    return len(polled["events"])


def main() -> None:
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    stream, group, member = sys.argv[1:4]
    left = float(sys.argv[4]) if len(sys.argv) > 4 else float("inf")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        while left > 0:
            try:
                left -= work_once(stream, group, member)
            except urllib.error.HTTPError as error:
                # 409: the lease ended meanwhile, and another member has the partitions; the next poll takes part anew.
                # 429 and 503: not now.
                if error.code not in (409, 429, 503):
                    sys.exit(error.read().decode())
                time.sleep(float(error.headers.get("Retry-After") or 1))
            except OSError as error:
                print(f"no answer: {error}", file=sys.stderr)
                time.sleep(1)
    finally:
        # So that the others need not wait for the lease to end. Where this fails, it ends by itself within 30 s.
        with contextlib.suppress(OSError):
            call("DELETE", f"/consumers/{quote(group)}/members/{quote(member)}")


if __name__ == "__main__":
    main()
