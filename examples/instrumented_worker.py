"""A worker that tells forebay what it does, with the SDK.

    FOREBAY_TOKEN=... python examples/instrumented_worker.py [JOBS]

Each call takes microseconds and never waits for the network. What is in the spool when the process dies, by `kill -9`
too, is sent by the next one.
"""

from __future__ import annotations

import logging
import os
import sys
import time

from forebay.client import Client, LoggingHandler

URL = os.environ.get("FOREBAY_URL", "http://127.0.0.1:8080")


def resize(picture: int) -> int:
    """The work. Every tenth picture is broken."""
    if picture % 10 == 9:
        raise ValueError(f"picture {picture} has no pixels")
    return picture * 1024


def main() -> int:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    client = Client(
        URL, os.environ.get("FOREBAY_TOKEN"), project_id="org-xyz", service="resizer", spool="resizer-spool"
    )
    # Whatever the program and its libraries log goes to forebay too; `extra` becomes the event's metadata. The second
    # handler also shows what the client says of events that are lost, which it does not send.
    logging.basicConfig(level=logging.INFO, handlers=[LoggingHandler(client), logging.StreamHandler()])
    log = logging.getLogger("resizer")
    with client:
        for picture in range(jobs):
            begun = time.perf_counter()
            try:
                size = resize(picture)
            except ValueError:
                log.exception("cannot resize", extra={"picture": picture})
                continue
            log.info("resized", extra={"picture": picture, "bytes": size})
            milliseconds = (time.perf_counter() - begun) * 1000
            client.track("picture_resized", user=f"user-{picture % 7}", metrics={"milliseconds": milliseconds})
        left = client.flush()
        stats = client.stats()
    print(f"{stats.delivered} events delivered, {stats.rejected} refused, {left} left in the spool")
    return 1 if left or stats.rejected or stats.dropped else 0


if __name__ == "__main__":
    sys.exit(main())
