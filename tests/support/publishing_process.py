"""A server's half that publishes, in a process of its own, to be killed and stopped: its views change all the time.

Arguments: the URL of Redis, the minutes that it has, and the total of each. It prints its role whenever that changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

from forebay.cache.views import Views
from support.views import DAY_MS, fill, publishing, this_minute


async def main(url: str, minutes: int, total: int) -> None:
    views = Views(DAY_MS)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    role = ""
    async with publishing(views, url) as cache:
        fill(views, this_minute(), minutes, total)
        while not stop.is_set():
            fill(views, this_minute(), 2, total)
            if cache.state.role.value != role:
                role = cache.state.role.value
                sys.stdout.write(f"{role}\n")
                sys.stdout.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.05)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
