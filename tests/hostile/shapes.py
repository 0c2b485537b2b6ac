"""Bodies that nobody should send to the events and analytics APIs, made from a seed. As in `corpus.py`, every one of
them is wrong by construction: nothing of them may be stored."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hostile import encodings
from hostile.corpus import NUMBERS, RAW_STRINGS, STRAY, Case, post

Json = dict[str, object]
Body = tuple[str, bytes]


def good_event(rng: random.Random) -> Json:
    made: Json = {"type": "user_action", "source": "hostile", "data": {"n": rng.random(), "list": [1, "é", None, {}]}}
    if rng.random() < 0.5:
        made["id"] = f"id-{rng.randrange(1000)}"
    if rng.random() < 0.5:
        made["timestamp"] = rng.randrange(1 << 41)
    return made


def good_track(rng: random.Random) -> Json:
    made: Json = {"event": {"type": "page_view"}, "user": {"id": f"hostile-{rng.randrange(9)}"}}
    if rng.random() < 0.5:
        made["device"] = {"user_agent": "x", "screen_width": 7, "screen_height": 9}
    if rng.random() < 0.5:
        made["context"] = {"url": "http://x", "session_id": "é"}
    if rng.random() < 0.5:
        made["metrics"] = {"load_time": rng.random()}
    return made


WRONG_EVENTS: tuple[Json, ...] = (
    {"type": ""},
    {"type": 0},
    {"type": None},
    {"source": ""},
    {"source": {}},
    {"source": "s" * 1025},
    {"data": []},
    {"data": None},
    {"data": "{}"},
    {"id": ""},
    {"id": 7},
    {"id": "i" * 257},
    {"timestamp": "2024-05-31T15:30:45Z"},
    {"timestamp": 1.5},
    {"timestamp": 10**30},
    {"timestamp": -(10**17)},
    {"timestamp": [1]},
)
WRONG_TRACKS: tuple[Json, ...] = (
    {"event": None},
    {"event": {}},
    {"event": []},
    {"event": {"type": ""}},
    {"event": {"type": 1}},
    {"user": "me"},
    {"user": {"id": 1}},
    {"user": {"id": "u" * 1025}},
    {"device": []},
    {"device": {"user_agent": {}}},
    {"device": {"screen_width": "1"}},
    {"device": {"screen_height": 1.5}},
    {"device": {"screen_height": 10**30}},
    {"context": 1},
    {"context": {"session_id": False}},
    {"metrics": {"load_time": "1"}},
    {"metrics": [1]},
    {"timestamp": "soon"},
    {"timestamp": ""},
    {"timestamp": 0.5},
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One API: its path, what its events look like, and what makes one wrong."""

    path: str
    good: Callable[[random.Random], Json]
    wrong: tuple[Json, ...]
    required: tuple[str, ...]
    free: str


EVENTS = Kind("/api/events", good_event, WRONG_EVENTS, ("type", "source", "data"), "data")
TRACK = Kind("/v1/analytics/track", good_track, WRONG_TRACKS, ("event",), "metrics")


def whole(rng: random.Random, events: list[Json], batch: bool) -> str:
    return json.dumps(events if batch else events[0], ensure_ascii=rng.random() < 0.5)


def wrong_field(rng: random.Random, kind: Kind, batch: bool) -> Body:
    """Every event is wrong, because an events batch stores those that are not."""
    events = []
    for _ in range(rng.randrange(1, 4)):
        made = kind.good(rng)
        if rng.random() < 0.3:
            del made[rng.choice(kind.required)]
        else:
            made |= rng.choice(kind.wrong)
        events.append(made)
    return "field", whole(rng, events, batch).encode()


def duplicate_field(rng: random.Random, kind: Kind, batch: bool) -> Body:
    field = rng.choice(kind.required)
    again = "".join(f"\\u{ord(c):04x}" for c in field) if rng.random() < 0.5 else field
    text = json.dumps(kind.good(rng))[:-1] + f',"{again}":{{}}}}'
    return "duplicate field", (f"[{text}]" if batch else text).encode()


def wrong_shape(rng: random.Random, kind: Kind, batch: bool) -> Body:
    shapes: list[object] = [None, 0, "x", True, [[]], [None], ["x"], {"events": [kind.good(rng)]}, [], {}]
    shapes.append([kind.good(rng)] * 1001 if batch else [kind.good(rng)])
    if batch:
        shapes.append(kind.good(rng))
    return "shape", json.dumps(rng.choice(shapes)).encode()


def tokens(text: str) -> list[str]:
    """Joined with blanks they are valid, so that a lost comma joins nothing."""
    found: list[str] = []
    at = 0
    decoder = json.JSONDecoder()
    while at < len(text):
        end = at + 1
        if text[at] not in "{}[],: ":
            _, end = decoder.raw_decode(text, at)
        if text[at] != " ":
            found.append(text[at:end])
        at = end
    return found


def stray_token(rng: random.Random, kind: Kind, batch: bool) -> Body:
    parts = tokens(whole(rng, [kind.good(rng)], batch))
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(STRAY))
    return "stray token", " ".join(parts).encode()


def lost_token(rng: random.Random, kind: Kind, batch: bool) -> Body:
    parts = tokens(whole(rng, [kind.good(rng)], batch))
    places = [index for index, part in enumerate(parts) if part in ("{", "}", "[", "]", ":", ",")]
    # Without both of its brackets a batch would be a valid single event, but one is still there.
    del parts[rng.choice(places)]
    return "lost token", " ".join(parts).encode()


def cut_off(rng: random.Random, kind: Kind, batch: bool) -> Body:
    text = whole(rng, [kind.good(rng)], batch).encode()
    return "cut off", text[: rng.randrange(len(text))]


def spoilt(rng: random.Random, kind: Kind, batch: bool) -> Body:
    """Bytes that no string or number may have, or depths that nothing may have, in what is free-form."""
    wrong = rng.choice(["string", "number", "deep"])
    made = {**kind.good(rng), kind.free: {"free": "MARK"}}
    inner = b'"ok' + rng.choice(RAW_STRINGS) + b'"'
    if wrong == "number":
        inner = rng.choice(NUMBERS)
    elif wrong == "deep":
        depth = rng.choice([65, 100, 10_000, 100_000])
        inner = b"[" * depth + b"]" * (depth if rng.random() < 0.7 else 0)
    return wrong, whole(rng, [made], batch).encode().replace(b'"MARK"', inner)


def around(rng: random.Random, kind: Kind, batch: bool) -> Body:
    text = whole(rng, [kind.good(rng)], batch).encode()
    junk = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"x", b"\0", b"{}", b",", b"\x1e", text])
    return "around", junk + text if rng.random() < 0.5 else text + junk


def noise(rng: random.Random, _kind: Kind, _batch: bool) -> Body:
    return "noise", rng.randbytes(rng.randrange(0, 200))


MAKERS = (wrong_field, duplicate_field, wrong_shape, stray_token, lost_token, cut_off, spoilt, around, noise)


def cases(seed: int, count: int) -> Iterator[Case]:
    """`count` cases, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        kind, batch = rng.choice((EVENTS, TRACK)), rng.random() < 0.5
        name, body = rng.choice(MAKERS)(rng, kind, batch)
        headers, statuses = [], frozenset({400})
        coding = rng.random()
        if coding < 0.2:
            label, encode = rng.choice(encodings.ENCODERS)
            body = encode(body)
            headers.append(b"Content-Encoding: " + label)
        elif coding < 0.25:
            name, body, label, statuses = encodings.damaged(rng, whole(rng, [kind.good(rng)], batch).encode())
            headers.append(b"Content-Encoding: " + label)
        if rng.random() < 0.1:
            headers.append(b"Idempotency-Key: k%d" % rng.randrange(10))
        path = kind.path + ("/batch" if batch else "")
        yield Case(f"{name} at {path}", post(body, *headers, path=path, chunked=rng.random() < 0.2), statuses)
