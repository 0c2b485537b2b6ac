"""A definition in one line, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from forebay.processors.duration import shown


def steps(definition: Mapping[str, Any]) -> Iterator[str]:
    """The source, each operation, and the sink if there is one yet. The definition may be one that the engine has not
    checked."""
    yield str(definition.get("source"))
    for operation in definition.get("operations", ()):
        yield _step(operation)
    if "sink" in definition:
        yield str(definition["sink"])


def _step(operation: Mapping[str, Any]) -> str:
    match operation:
        case {"type": "filter", "predicate": predicate}:
            return f"filter {predicate}"
        case {"type": "map", "function": function}:
            return f"map {function}"
        case {"type": "window", "windowType": "sliding", "duration": int(duration), "slide": int(slide)}:
            return f"sliding {shown(duration)} every {shown(slide)}"
        case {"type": "window", "windowType": str(kind), "duration": int(length)} | {
            "type": "window",
            "windowType": str(kind),
            "gap": int(length),
        }:
            return f"{kind} {shown(length)}"
        case {"type": "aggregate"}:
            return _aggregate(operation)
    return str(operation.get("type"))


def _aggregate(operation: Mapping[str, Any]) -> str:
    every = operation.get("aggregations", [operation])
    computed = ", ".join(
        f"{one.get('aggregation')}({one['field']})" if one.get("field") else f"{one.get('aggregation')}"
        for one in every
    )
    by = operation.get("groupBy")
    if by is None:
        return computed
    return f"{computed} by {by if isinstance(by, str) else ', '.join(by)}"
