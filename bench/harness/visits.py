"""Requests with analytics events as `forebay-load --content track` makes them, in batches, which it does not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from harness.sender import request

PATH = "/v1/analytics/track/batch"
#: As many different requests are sent in turn: no server profits from seeing the same bytes again soon.
VARIANTS = 64
USERS = 1_000_000
TYPES = ("user_action", "page_view", "purchase", "signup", "login", "api_call")
PAGES = (
    *("/v1/orders", "/v1/orders/items", "/v1/users/me", "/v1/cart", "/v1/search"),
    *("/v1/sessions", "/internal/health", "/v2/payments/intents"),
)
#: The fields that the seed of the API shows.
FORM = (
    '{"event":{"type":"%s"},"user":{"id":"user-%06d"},'
    '"device":{"user_agent":"Mozilla/5.0","screen_width":1920,"screen_height":1080},'
    '"context":{"url":"https://example.com%s","session_id":"%016x"},"metrics":{"load_time":%d}%s}'
)


def visit(source: random.Random, user: int, more: str = "") -> str:
    """One event; `more` are further fields, each after a comma."""
    page, session = source.choice(PAGES), source.getrandbits(64)
    return FORM % (source.choice(TYPES), user, page, session, source.randrange(3000), more)


def batch(visits: Iterator[str]) -> bytes:
    return request(PATH, f"[{','.join(visits)}]".encode())


def batches(events: int) -> Iterator[bytes]:
    """The same requests over and over, of so many events each, of random users and without a timestamp."""
    source = random.Random(1)
    made = [batch(visit(source, source.randrange(USERS)) for _ in range(events)) for _ in range(VARIANTS)]
    return itertools.cycle(made)


def of_all_users(users: int, events: int, begin_ms: int, end_ms: int) -> Iterator[bytes]:
    """Requests of so many events each, one event of each user, in the order of their times, which are spread evenly."""
    source = random.Random(1)
    for first in range(0, users, events):
        yield batch(
            visit(source, user, f',"timestamp":{begin_ms + (end_ms - begin_ms) * user // users}')
            for user in range(first, min(first + events, users))
        )
