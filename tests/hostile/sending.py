"""Cases on their way to a server, over connections that are used again for as long as it lets them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from hostile.corpus import Case
from support.harness import RunningServer, answer


def answered(
    server: RunningServer, found: Iterable[Case], connections: int, seed: int
) -> Iterator[tuple[int, Case, int, bytes]]:
    """Number, case, status and body, of each case on one of so many connections."""
    rng = random.Random(seed)
    opened = [server.connect() for _ in range(connections)]
    for number, case in enumerate(found):
        place = rng.randrange(connections)
        opened[place].sendall(case.request)
        status, headers, body = answer(opened[place], case.request.split(b" ", 1)[0].decode())
        yield number, case, status, body
        if headers.get("connection") == "close":
            opened[place].close()
            opened[place] = server.connect()
    for connection in opened:
        connection.close()
