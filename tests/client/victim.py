"""A process that logs until it is killed. It prints each number once `log()` has returned.

Usage: victim.py URL SPOOL NAME [always]
"""

from __future__ import annotations

import os
import sys

from forebay.client import Client

client = Client(
    sys.argv[1],
    spool=sys.argv[2],
    spool_bytes=8 << 20,
    spool_fsync="always" if sys.argv[4:] else "interval",
    answer_seconds=0.3,
    batch_events=50,
    linger_seconds=0.005,
)
number = 0
while True:
    if not client.log(f"{sys.argv[3]} {number}", metadata={"filler": "x" * 200}):
        continue
    # In one write, so that a kill leaves whole lines, and at once: it was accepted.
    os.write(1, b"%d\n" % number)
    number += 1
