"""Requests that nobody should send, made from a seed. Every one of them is wrong by construction, so no oracle is
needed: whatever the server stores of them is a defect."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hostile import encodings
from support.harness import event

REQUIRED = ("project_id", "timestamp", "level", "service", "message")
PLACES = (
    "cannot be deleted",
    "settings of the server",
    "events",
    "byte ",
    "header ",
    "content-encoding",
    "the body",
    "query",
    "route",
    "does not take",
    "more than",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One request and the statuses that it may be answered with.

    `closes`: the server below the application may answer, without an envelope, and closes the connection.
    """

    name: str
    request: bytes
    statuses: frozenset[int]
    closes: bool = False


Body = tuple[str, bytes]


def post(body: bytes, *headers: bytes, path: str = "/v1/drain", chunked: bool = False) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: x", *headers]
    if not chunked:
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body
    chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + chunks + b"0\r\n\r\n"


def good_events(rng: random.Random) -> list[dict[str, object]]:
    return [
        event(
            "m" * rng.randrange(40), project="hostile", metadata={"n": rng.random(), "list": [1, "é", None, {"a": {}}]}
        )
        for _ in range(rng.randrange(1, 4))
    ]


def encoded(events: object) -> bytes:
    return json.dumps({"events": events}, ensure_ascii=rng_free(events)).encode()


def rng_free(events: object) -> bool:
    """Half of the bodies are ASCII, decided by their content, so that a case depends on nothing but the seed."""
    return len(str(events)) % 2 == 0


def wrong_field(rng: random.Random) -> Body:
    """One required field of one event is missing, of another type, or empty."""
    events = good_events(rng)
    place = rng.randrange(len(events))
    field = rng.choice(REQUIRED)
    wrong: list[object] = [0, -1.5, 1e300, True, None, [], {}, ["x"], {"x": "y"}]
    if field != "message":
        wrong.append("")
    if rng.random() < 0.3:
        del events[place][field]
    else:
        events[place][field] = rng.choice(wrong)
    return f"field {field}", encoded(events)


TIMESTAMPS = (
    "2024-02-30T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01",
    "2024-01-01T24:01:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:61Z",
    " 2024-01-01",
    "2024-01-01 ",
    "2024-01-01T00:00:00+25:00",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00.1234567890Z",
    "0000-01-01",
    "10000-01-01",
    "-2024-01-01",
    "1717169445",
    "now",
    "2024-01-01T00:00:00Zx",
    "2024-01-01T00:00:00\\u005a\u0661",
    "9" * 100_000,
)


def wrong_timestamp(rng: random.Random) -> Body:
    events = good_events(rng)
    rng.choice(events)["timestamp"] = rng.choice(TIMESTAMPS)
    return "timestamp", encoded(events)


def duplicate_field(rng: random.Random) -> Body:
    """A required field, or `events` itself, twice; plain or with an escaped name, which is the same name."""
    field = rng.choice((*REQUIRED, "events"))
    again = "".join(f"\\u{ord(c):04x}" for c in field) if rng.random() < 0.5 else field
    text = json.dumps({"events": good_events(rng)})
    if field == "events":
        return "duplicate events", (text[:-1] + f',"{again}":[]}}').encode()
    at = text.rindex("}]")
    return f"duplicate {field}", (text[:at] + f',"{again}":"2024-01-01"' + text[at:]).encode()


def wrong_shape(rng: random.Random) -> Body:
    value: object = rng.choice([[], {}, None, 0, "x", [[]], [None], [0], ["x"], [{}], {"events": []}, True])
    if rng.random() < 0.5:
        return "shape of events", encoded(value)
    # Without a key `events`, whatever it is.
    whole = {"event": value} if value == {"events": []} else value
    return "shape of the body", json.dumps(whole).encode()


def tokens(rng: random.Random) -> list[str]:
    """A valid body, token by token. Joined with blanks it is valid, so that a lost comma joins nothing."""
    text = json.dumps({"events": good_events(rng)})
    found: list[str] = []
    at = 0
    decoder = json.JSONDecoder()
    while at < len(text):
        if text[at] in "{}[],:":
            found.append(text[at])
            at += 1
        elif text[at] == " ":
            at += 1
        else:
            _, end = decoder.raw_decode(text, at)
            found.append(text[at:end])
            at = end
    return found


STRAY = (",", ":", "}", "]", '"', "x", "NaN", "Infinity", "\0", "'a'", "//", "\ufeff", "\u00a0", "undefined", "\\")


def stray_token(rng: random.Random) -> Body:
    """One token too many: a comma or colon where none may be, a bracket that nothing opened, or no JSON at all."""
    parts = tokens(rng)
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(STRAY))
    return "stray token", " ".join(parts).encode()


def lost_token(rng: random.Random) -> Body:
    parts = tokens(rng)
    places = [index for index, part in enumerate(parts) if part in ("{", "}", "[", "]", ":", ",")]
    del parts[rng.choice(places)]
    return "lost token", " ".join(parts).encode()


def cut_off(rng: random.Random) -> Body:
    body = encoded(good_events(rng))
    return "cut off", body[: rng.randrange(len(body))]


RAW_STRINGS = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\x80",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\ud83d\\u0041",
    b"\\x41",
    b"\\u12g4",
    b"\\u123",
    b"\\",
    b"\x00",
    b"\n",
    b"\x1f",
)


def wrong_string(rng: random.Random) -> Body:
    """Bytes that no JSON string may hold, in a value, a name, or deep inside of the metadata."""
    wrong = rng.choice(RAW_STRINGS)
    place = rng.choice(["message", "name", "metadata"])
    good = event("MARK" if place == "message" else "m", project="hostile")
    if place == "metadata":
        good["metadata"] = {"a": ["MARK"]}
    elif place == "name":
        good["MARK"] = 1
    return f"string in {place}", json.dumps({"events": [good]}).encode().replace(b"MARK", b"ok" + wrong)


NUMBERS = (
    b"01",
    b"-",
    b"+1",
    b"1.",
    b".5",
    b"1e",
    b"1e+",
    b"0x10",
    b"1_0",
    b"--1",
    b"NaN",
    b"-Infinity",
    b"1.e5",
    b"\xd9\xa1",
)


def wrong_number(rng: random.Random) -> Body:
    body = json.dumps({"events": [event(project="hostile", metadata={"n": ["MARK"]})]}).encode()
    return "number", body.replace(b'"MARK"', rng.choice(NUMBERS))


def too_deep(rng: random.Random) -> Body:
    depth = rng.choice([65, 66, 100, 1000, 10_000, 100_000])
    opener, closer = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inner = opener * depth + (b"1" + closer * depth if rng.random() < 0.7 else b"")
    body = json.dumps({"events": [event(project="hostile", metadata={"n": "MARK"})]}).encode()
    if rng.random() < 0.3:
        return "deep body", inner
    return "deep metadata", body.replace(b'"MARK"', inner)


def around(rng: random.Random) -> Body:
    """A valid body with something before or behind it."""
    body = encoded(good_events(rng))
    junk = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"x", b"\0", b"{}", b",", b"\x1e", body])
    return "around", junk + body if rng.random() < 0.5 and junk != body else body + junk


def noise(rng: random.Random) -> Body:
    return "noise", rng.randbytes(rng.randrange(0, 200))


BODIES: tuple[Callable[[random.Random], Body], ...] = (
    wrong_field,
    wrong_timestamp,
    duplicate_field,
    wrong_shape,
    stray_token,
    lost_token,
    cut_off,
    wrong_string,
    wrong_number,
    too_deep,
    around,
    noise,
)


def body_case(rng: random.Random) -> Case:
    name, body = rng.choice(BODIES)(rng)
    headers = []
    coding = rng.random()
    if coding < 0.25:
        label, encode = rng.choice(encodings.ENCODERS)
        body = encode(body)
        headers.append(b"Content-Encoding: " + label)
        name += f", {label.decode()}"
    if rng.random() < 0.1:
        headers.append(b"Idempotency-Key: k%d" % rng.randrange(10))
    return Case(name, post(body, *headers, chunked=rng.random() < 0.2), frozenset({400}))


def encoding_case(rng: random.Random) -> Case:
    name, body, label, statuses = encodings.damaged(rng, encoded(good_events(rng)))
    request = post(body, b"Content-Encoding: " + label, chunked=rng.random() < 0.2)
    return Case(name, request, statuses)


HEADERS: tuple[tuple[bytes, int], ...] = (
    (b"Content-Encoding: br", 415),
    (b"Content-Encoding: gzip, gzip", 415),
    (b"Content-Encoding: gzip\r\nContent-Encoding: gzip", 400),
    (b"Content-Encoding: \xff", 400),
    (b"Idempotency-Key: ", 400),
    (b"Idempotency-Key: " + b"k" * 129, 400),
    (b"Idempotency-Key: \xff\xfe", 400),
    ("Idempotency-Key: é".encode(), 400),
    (b"Idempotency-Key: a\r\nIdempotency-Key: b", 400),
    (b"Forebay-On-Invalid: maybe", 400),
    (b"Forebay-On-Invalid: \xff", 400),
    (b"Forebay-On-Invalid: quarantine\r\nForebay-On-Invalid: refuse", 400),
)


def header_case(rng: random.Random) -> Case:
    line, status = rng.choice(HEADERS)
    request = post(encoded(good_events(rng)), line, chunked=rng.random() < 0.3)
    return Case("header " + repr(line[:40]), request, frozenset({status}))


PATHS = (
    "/",
    "//",
    "/v1/drain/",
    "/v1//drain",
    "/V1/DRAIN",
    "/v1/drain%00",
    "/../v1/drain",
    "/%ff",
    "/é",
    "*",
    "/a" * 20_000,
)
METHODS = ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PUT", "DELETE", "GET", "get", "post", "FOO", "A" * 500)
QUERIES = ("?", "?a", "?a=%ff", "?=", "?limit=1", "?a=1&a=2", "?" + "a=b&" * 500, "?%", "?a=" + "x" * 20_000)
ROUTES = ("/v1/drain", "/health", "/readyz", "/metrics", "/api/v1/streams", "/api/v1/streams/logs")


def route_case(rng: random.Random) -> Case:
    body = encoded(good_events(rng))
    kind = rng.randrange(3)
    if kind == 0:
        method, path = "POST", rng.choice(PATHS)
    elif kind == 1:
        path = rng.choice(ROUTES)
        allowed = {"POST"} if path == "/v1/drain" else {"GET", "HEAD"}
        method = rng.choice([method for method in METHODS if method not in allowed])
    else:
        path = rng.choice(ROUTES) + rng.choice(QUERIES[1:])
        method = "POST" if path.startswith("/v1/drain") else "GET"
    request = post(body).replace(b"POST /v1/drain", f"{method} {path}".encode(), 1)
    # 403: the stream `logs` is nobody's to delete or to change.
    return Case(f"route {method[:10]} {path[:40]}", request, frozenset({400, 403, 404, 405}))


def cases(seed: int, count: int) -> Iterator[Case]:
    """`count` cases, the same for the same seed."""
    rng = random.Random(seed)
    makers = (body_case, encoding_case, header_case, route_case)
    for _ in range(count):
        [maker] = rng.choices(makers, weights=(80, 10, 4, 6))
        yield maker(rng)
