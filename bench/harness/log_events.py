"""Log events to be searched: four message kinds, 80 streams (services x projects), one day; always the same ones.

No value of the metadata is found by what is asked of messages, so that an engine which looks into both finds the same
as one that has a column of messages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.cache import Cache

SERVICES = ("api", "auth", "billing", "checkout", "inventory", "mail", "proxy", "worker")
PROJECTS = tuple(f"project-{number:02}" for number in range(10))
LEVELS = (*["info"] * 70, *["debug"] * 15, *["warning"] * 10, *["error"] * 5)
BEGIN, DAY_MS = datetime(2025, 12, 4, tzinfo=UTC), 86_400_000
USERS_FROM, USERS = 100_000, 100_000

RARE_WORD, RARE_EVERY, RARE_AT = "zebrafish", 1_000_000, 123_456
"""In one event of so many, the first of them at this place."""

UNIQUE_AT = 77_777
"""The event whose request id and whose user are asked for."""

LEAST_EVENTS = RARE_AT + 1
"""With fewer the rare word is absent too."""

#: Ids of requests are decimals, scrambled so that their order says nothing: a regexp of letters would find others.
_SCRAMBLE, _IDS = 7_368_787_451_983, 10**13
_FORM = (
    '{"project_id":"%s","timestamp":"%sZ","level":"%s","service":"%s","message":"%s",'
    '"metadata":{"request_id":"req-%013d","user_id":%d,"status":%d,"ms":%.1f}}'
)
_STATUSES = (200, 200, 200, 201, 204, 301, 404, 500)


def request_id(number: int) -> str:
    return f"req-{number * _SCRAMBLE % _IDS:013}"


def user_id(number: int) -> int:
    return USERS_FROM + number * 7919 % USERS


def message(number: int, source: random.Random) -> str:
    """A message of one of four kinds, each as often as the others."""
    kind = number % 4
    if kind == 0:
        text = f"request completed: GET /v1/orders/{source.randrange(10**7)} took {source.randrange(20_000) / 10}ms "
        text += f"trace {source.getrandbits(64):016x}"
    elif kind == 1:
        text = f"connection from 10.{source.randrange(64)}.{source.randrange(32)}.{source.randrange(256)}"
        text += f":{source.randrange(10_000, 60_000)} closed by peer after {source.randrange(100_000)} bytes"
    elif kind == 2:
        text = f"payment {source.getrandbits(32):08x} failed for order {source.randrange(10_000)} after "
        text += f"{source.randrange(10)} retries of shard {source.randrange(100, 1_000)} "
        text += f"with code E{source.randrange(400, 500)}"
    else:
        text = f"cache miss for session {source.getrandbits(32):08x} on node-{source.randrange(40)}, "
        text += f"loaded {source.randrange(5_000)} rows in {source.randrange(3_000) / 10} ms"
    return f"{text} {RARE_WORD}" if number % RARE_EVERY == RARE_AT else text


def lines(events: int) -> Iterator[str]:
    """One JSON object a line, in the order of their times, which are spread evenly over the day."""
    source = random.Random(1)
    for number in range(events):
        time = (BEGIN + timedelta(milliseconds=number * DAY_MS // events)).isoformat(timespec="milliseconds")[:-6]
        stream = source.randrange(len(SERVICES) * len(PROJECTS))
        service, project = SERVICES[stream % len(SERVICES)], PROJECTS[stream // len(SERVICES)]
        level, status = LEVELS[source.randrange(len(LEVELS))], _STATUSES[source.randrange(len(_STATUSES))]
        text, taken = message(number, source), source.randrange(20_000) / 10
        identity = number * _SCRAMBLE % _IDS
        yield _FORM % (project, time, level, service, text, identity, user_id(number), status, taken)


def written(cache: Cache, events: int) -> Path:
    """The file of them, made once."""

    def make(place: Path) -> None:
        with (place / "events.ndjson").open("w") as file:
            file.writelines(line + "\n" for line in lines(events))

    recipe = f"{events}\n{Path(__file__).read_text()}"
    return cache.installed("log-events", recipe, make) / "events.ndjson"
