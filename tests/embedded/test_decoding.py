"""Values that are hard to decode: what they are in Python, and that they hide no other."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay import errors
from forebay.embedded.decoding import MAX_INTEGER_DIGITS, decode
from support.harness import RunningServer, run

LONG = "7" * 5_000
TOO_LONG = "7" * (MAX_INTEGER_DIGITS + 1)
DEEP = "[" * 64 + "]" * 64


@pytest.fixture
def log(tmp_path: Path) -> Iterator[forebay.Log]:
    with forebay.open(tmp_path / "data") as opened:
        opened.create_stream("orders")
        yield opened


def append(log: forebay.Log, *values: str) -> None:
    """Appends JSON as it is, as other programs send it."""
    log._engine.append("orders", [(None, value.encode(), b"", None) for value in values], 0)


def unlimited(text: str) -> Any:
    """Returns the value that Python's own decoder gives without its limit of digits."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.loads(text)
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    "text",
    [
        "1e400",
        "-1e400",
        '{"a":[1e999,-1e999],"b":"x"}',
        LONG,
        f"-{LONG}",
        f'{{"n":{LONG},"m":[-{LONG}]}}',
        "7" * MAX_INTEGER_DIGITS,
        "18446744073709551616",
        "-9223372036854775809",
        "9007199254740993",
        "-0",
        "-0.0",
        "1e-400",
        DEEP,
        '"\\ud800\\udc00"',
    ],
    ids=lambda text: text[:24],
)
def test_values_are_what_json_gives(text: str) -> None:
    found, wanted = decode(text.encode()), unlimited(text)
    assert found == wanted
    assert type(found) is type(wanted)
    if isinstance(wanted, float):
        assert math.copysign(1, found) == math.copysign(1, wanted)


@pytest.mark.parametrize("text", [TOO_LONG, "[" * 200_000, "nonsense", '"\udcff"', ""], ids=lambda text: text[:8])
def test_what_cannot_be_decoded_is_named(text: str) -> None:
    with pytest.raises(errors.Malformed, match="cannot be decoded"):
        decode(text.encode(errors="surrogateescape"))


def test_one_value_hides_no_other(log: forebay.Log) -> None:
    append(log, "1", "1e400", TOO_LONG, LONG, "2")
    records = log.read("orders", 0)
    values, seen, refused = iter(records), [], 0
    while True:
        try:
            seen.append(next(values))
        except errors.Malformed:
            refused += 1
        except StopIteration:
            break
    assert (seen, refused) == ([1, math.inf, unlimited(LONG), 2], 1)
    assert records[4] == 2
    assert records.raw(2) == TOO_LONG.encode()
    with pytest.raises(errors.Malformed):
        records[2]
    assert len(records.ndjson().splitlines()) == 5


def test_one_message_hides_no_other(log: forebay.Log) -> None:
    append(log, "1", TOO_LONG, "2")
    consumer = log.consumer("g", "orders")
    seen: list[object] = []
    for message in consumer.messages():
        try:
            seen.append(message.value)
        except errors.Malformed:
            seen.append(len(message.raw))
        assert f"offset={message.offset}" in repr(message)
        assert len(repr(message)) < 200
        if message.offset == 2:
            break
    assert seen == [1, len(TOO_LONG), 2]
    assert consumer.commit() == {0: 3}


def test_filters_see_neighbours_of_such_numbers(log: forebay.Log) -> None:
    append(log, '{"n":1e400,"a":1}', f'{{"a":2,"n":{LONG}}}', '{"a":3,"n":5}')
    for expression, wanted in [
        ("value.a >= 1", [1, 2, 3]),
        ("value.n > 1000", [1, 2]),
        ("value.n > 1e308 && value.n != value.a", [1, 2]),
        ("value.n == 5", [3]),
    ]:
        [records] = log.consumer(f"g{expression.encode().hex()[:40]}", "orders", filter=expression).poll()
        assert [value["a"] for value in records] == wanted, expression


def test_the_command_prints_them_as_they_are(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        log.create_stream("orders")
        append(log, "1e400", LONG, "2")
    read = run("read", "orders", "--data-dir", tmp_path / "data")
    assert read.returncode == 0
    assert [line.split('"value":')[1] for line in read.stdout.splitlines()] == ["1e400}", f"{LONG}}}", "2}"]


def test_a_filter_that_is_never_true_is_refused_everywhere(log: forebay.Log, shared_server: RunningServer) -> None:
    path = "/api/v1/streams/logs"
    for expression, what in [("0", "a number"), ('"x"', "a text"), ("value.amount + 1", "a number")]:
        with pytest.raises(errors.InvalidRequest, match=f"filter: column .*{what} is never true or false"):
            log.consumer("g", "orders", filter=expression)
        with shared_server.client() as client:
            polled = client.get(
                f"{path}/events", params={"consumerGroup": "g", "filter": expression, "timeout": 30_000}
            )
            tailed = client.get(f"{path}/tail", params={"filter": expression})
        for refused in (polled, tailed):
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, 1008)
            assert f"{what} is never true or false" in refused.json()["error"]["detail"]
