"""Errors name a field as it was sent, on every route: parameters, headers' rows, and each field of each body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from support.harness import RunningServer

JsonObject = dict[str, Any]
Path = tuple[str, ...]

FREE = {"value", "payload", "progress", "result"}
"""Takes any JSON."""

BEYOND_64_BITS = 1 << 70


@pytest.fixture(scope="module")
def document(shared_server: RunningServer) -> JsonObject:
    shared_server.post("/api/v1/streams", {"name": "s", "partitions": 2})
    with shared_server.client() as client:
        found: JsonObject = client.get("/openapi.json").raise_for_status().json()
    return found


def resolved(document: JsonObject, schema: JsonObject) -> JsonObject:
    """A schema without reference, and of several the one that is not null."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in schema:
            [schema, *_] = [row for row in schema["anyOf"] if row.get("type") != "null"]
        elif "contains" in schema:
            schema = {**schema, "items": schema["contains"]}
            del schema["contains"]
        else:
            return schema


def good(document: JsonObject, schema: JsonObject) -> Any:
    """A value that fits, with every field."""
    schema = resolved(document, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: good(document, row) for name, row in schema.get("properties", {}).items()}
    if kind == "array":
        return [good(document, schema["items"])]
    if kind == "integer":
        return max(1, schema.get("minimum", 1))
    return {"boolean": False, "number": 1, "string": "s"}.get(str(kind), 1)


def fields(document: JsonObject, schema: JsonObject, above: Path = ()) -> Iterator[tuple[Path, JsonObject]]:
    """Every field of a body, in objects and items too."""
    schema = resolved(document, schema)
    if schema.get("type") == "array":
        yield from fields(document, schema["items"], (*above, "0"))
    for name, row in schema.get("properties", {}).items():
        yield (*above, name), resolved(document, row)
        if name not in FREE:
            yield from fields(document, row, (*above, name))


def put(body: Any, place: Path, value: object) -> Any:
    changed = deepcopy(body)
    inner = changed
    for name in place[:-1]:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[place[-1]] = value
    return changed


def wrong_values(row: JsonObject) -> Iterator[object]:
    yield ["no", "object"] if row.get("type") == "object" else {"no": "value"}
    if row.get("type") == "integer":
        yield 1.5
        yield BEYOND_64_BITS
        if "maximum" in row:
            yield row["maximum"] + 1
        if "minimum" in row:
            yield row["minimum"] - 1
    if "pattern" in row or "enum" in row:
        yield "\n"


def operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (
                method.upper(),
                path.replace("{name}", "s").replace("{group}", "g").replace("{memberId}", "m").replace("{queue}", "q"),
                operation,
            )


def written(place: Path) -> str:
    """Returns the path in the form that errors have: `events[0].timestamp`."""
    return "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in place).lstrip(".")


def named(place: Path, answer: str) -> bool:
    whole = written(place)
    # An answer for each event has the event's index beside it; of other lists msgspec does not say which item.
    inner = written(place[place.index("0") + 1 :]) if "0" in place else whole
    return whole in answer or whole.replace("[0]", "[...]") in answer or f'"{inner}: ' in answer


def test_every_field_of_every_body_is_named_as_it_was_sent(shared_server: RunningServer, document: JsonObject) -> None:
    asked = 0
    with shared_server.client() as client:
        for method, path, operation in operations(document):
            if "requestBody" not in operation:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            body = good(document, schema)
            for place, row in fields(document, schema):
                for value in () if place[-1] in FREE else wrong_values(row):
                    sent = put(body, place, value)
                    answer = client.request(method, path, content=json.dumps(sent))
                    assert answer.status_code in (400, 413), (method, path, sent, answer.text)
                    assert named(place, answer.text), (method, path, sent, answer.text)
                    asked += 1
    assert asked > 100


def test_every_query_parameter_is_named_as_it_was_sent(shared_server: RunningServer, document: JsonObject) -> None:
    with shared_server.client() as client:
        for method, path, operation in operations(document):
            given = [row for row in operation.get("parameters", ()) if row["in"] == "query"]
            for row in given:
                if row["schema"].get("type") == "string" and not {"enum", "pattern"} & set(row["schema"]):
                    continue
                required = [other for other in given if other["required"]]
                others = {other["name"]: other["schema"].get("enum", ["g"])[0] for other in required}
                answer = client.request(method, path, params={**others, row["name"]: "\n"})
                assert answer.status_code == 400, (path, row["name"])
                assert row["name"] in answer.text, (path, answer.text)


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({"dedupWindow": "0s"}, "config.dedupWindow is '0s', must be from 1s to 24h"),
        ({"dedupWindow": "25h"}, "config.dedupWindow is '25h'"),
        ({"dedupWindow": "10m\n"}, "config.dedupWindow is "),
        ({"retentionMs": 0}, "config.retentionMs is 0"),
        ({"retentionBytes": 0}, "config.retentionBytes is 0"),
        ({"retentionMs": -2}, "config.retentionMs: must be a whole number from -1 to "),
        ({"maxMessageBytes": 1 << 24 | 1}, "config.maxMessageBytes: must be a whole number from 1 to 16777216"),
        ({"quota": {"events": {"perSecond": 0, "burst": 1}}}, "config.quota.events.perSecond: must be a whole number"),
        ({"cleanup": 1}, "config: object contains unknown field `cleanup`; it may have retentionMs, retentionBytes, "),
        ({"quota": {"rate": 1}}, "config.quota: object contains unknown field `rate`; it may have events, bytes"),
        (
            {"compressionType": "brotli"},
            "config.compressionType: invalid enum value 'brotli', must be one of gzip, lz4, none, snappy, zstd",
        ),
    ],
)
def test_a_streams_choices_are_named(shared_server: RunningServer, config: JsonObject, detail: str) -> None:
    with shared_server.client() as client:
        client.post("/api/v1/streams", json={"name": "chosen"})
        for method, path, body in (
            ("POST", "/api/v1/streams", {"name": "x", "config": config}),
            ("PATCH", "/api/v1/streams/chosen", {"config": config}),
        ):
            answer = client.request(method, path, content=json.dumps(body))
            assert answer.status_code == 400
            assert detail in answer.json()["error"]["detail"]


def test_a_stream_s_name_is_refused_with_the_characters_it_may_have(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        answer = client.post("/api/v1/streams", json={"name": "a b"})
        assert answer.status_code == 400
        assert answer.json()["error"]["detail"] == "name: must be 1 to 249 of A-Z a-z 0-9 . _ -"
