"""Sends each line of the standard input as a log event, without the SDK: what a sender in any language does.

    tail -F app.log | FOREBAY_TOKEN=... python examples/send_lines.py

A batch that was acknowledged is on stable storage. One whose outcome is unknown (the connection broke, the server is
restarting) is sent again with the same `Idempotency-Key`, so the server stores it once.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

URL = os.environ.get("FOREBAY_URL", "http://127.0.0.1:8080")
TOKEN = os.environ.get("FOREBAY_TOKEN", "")
BATCH_EVENTS = 500
ANSWER_SECONDS = 60
GIVE_UP_SECONDS = 300
"""Less than the 10 minutes that the server remembers a key for."""


def event(line: str) -> dict[str, str]:
    return {
        "project_id": "org-xyz",
        "timestamp": datetime.now(UTC).isoformat(),
        "level": "info",
        "service": "send-lines",
        "message": line,
    }


def post(body: bytes, key: str) -> None:
    """One try; returns when the batch is stored."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    request = urllib.request.Request(f"{URL}/v1/drain", body, headers)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
        pass


def deliver(events: list[dict[str, str]]) -> None:
    """Tries until the batch is stored.

    Raises:
        urllib.error.HTTPError: the server refuses this batch however often it is sent.
        OSError: no answer for GIVE_UP_SECONDS.
    """
    body, key = json.dumps({"events": events}).encode(), str(uuid.uuid4())
    deadline = time.monotonic() + GIVE_UP_SECONDS
    for attempt in itertools.count():
        try:
            post(body, key)
            return
        except urllib.error.HTTPError as error:
            # 429: bounded memory or a quota is full. 5xx: not now. Anything else is wrong with the request itself.
            if error.code != 429 and error.code < 500:
                print(error.read().decode(), file=sys.stderr)
                raise
            pause(float(error.headers.get("Retry-After") or 1), deadline, error)
        except OSError as error:
            pause(min(2**attempt / 10, 10), deadline, error)


def pause(seconds: float, deadline: float, failure: OSError) -> None:
    """Waits before the next try; raises `failure` where that would be too late."""
    if time.monotonic() + seconds > deadline:
        raise failure
    time.sleep(seconds)


def batches(lines: Iterable[str]) -> Iterable[list[dict[str, str]]]:
    events = (event(line.rstrip("\n")) for line in lines if line.strip())
    while batch := list(itertools.islice(events, BATCH_EVENTS)):
        yield batch


def main() -> None:
    sent = 0
    for batch in batches(sys.stdin):
        deliver(batch)
        sent += len(batch)
    print(f"{sent} events stored")


if __name__ == "__main__":
    main()
