"""`forebay.pipeline`: the definition of a stream processor, step by step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from forebay.errors import InvalidRequest
from forebay.processors.duration import milliseconds
from forebay.processors.function import Function
from forebay.processors.summary import steps
from forebay.processors.windows import Windows

Start = Literal["latest", "earliest"]
Emit = Literal["final", "update"]


class Pipeline:
    """A stream processor that is being defined: where records come from, what is done with them, where results go.

    Never changes: every method returns another pipeline, so that one can be the beginning of several. The engine checks
    a definition when it is created or previewed, and its errors name the operation: `operations[1].predicate: …`.
    """

    __slots__ = ("_definition",)

    def __init__(self, definition: Mapping[str, Any]) -> None:
        """`definition` is that of `POST /api/v1/processors`, whole or only begun."""
        self._definition = copy.deepcopy(dict(definition))

    @property
    def name(self) -> str:
        name: str = self._definition["name"]
        return name

    @property
    def window(self) -> Windows[Pipeline]:
        """Cuts event time into windows: `.window.tumbling(minutes=5)`, `.window.sliding(…)`, `.window.session(…)`."""
        return Windows(self._then)

    def filter(self, predicate: str) -> Pipeline:
        """Keeps the records for which `predicate` is true: CEL over `value`, `key`, `headers` and `timestamp`
        (milliseconds), as consumers' filters. A record for which it fails, because a field is missing, is not kept;
        `metrics()` counts it in `filter_failures`."""
        return self._then({"type": "filter", "predicate": predicate})

    def map(self, function: str | Function) -> Pipeline:
        """Replaces each value by what the function of that name makes of it, which may also drop records or make
        several of one: one made by `forebay.function`, or `enrichWithUserData`, which comes with the engine. A function
        itself stands for its name: `forebay.open` or the setting `functions` says where it runs."""
        return self._then({"type": "map", "function": function if isinstance(function, str) else function.name})

    def aggregate(self, *aggregations: str | tuple[str, str], by: str | Sequence[str] | None = None) -> Pipeline:
        """Computes one result for each window and key.

        Args:
            aggregations: `"count"`, or a name with the path of a field within the value, `("sum", "amount")`: sum, avg,
                min, max, count_distinct, p50, p95, p99, first, last, top. One is called by its name in results; of
                several, each with a field is called `<name>_<field>`.
            by: the path, or paths, within the value of what one result each is computed for; None for one in all.

        Raises:
            InvalidRequest: there are no aggregations, or one is neither a name nor a name and a field.
        """
        if not aggregations:
            raise InvalidRequest('aggregate() needs an aggregation: "count", or ("sum", "amount")')
        every = [_aggregation(one) for one in aggregations]
        operation: dict[str, Any] = {"type": "aggregate"}
        operation |= every[0] if len(every) == 1 else {"aggregations": every}
        if by is not None:
            operation["groupBy"] = by if isinstance(by, str) else list(by)
        return self._then(operation)

    def sink(self, stream: str) -> Pipeline:
        """Writes results to `stream`, which is created with as many partitions as the source if there is none."""
        return self._with(sink=stream)

    def late_to(self, stream: str) -> Pipeline:
        """Keeps late records, of which no window takes any more, on `stream`; else they are only counted."""
        return self._configured(lateSink=stream)

    def config(
        self,
        *,
        parallelism: int | None = None,
        checkpoint_interval: timedelta | None = None,
        allowed_lateness: timedelta | None = None,
        idle_timeout: timedelta | None = None,
        max_future: timedelta | None = None,
        drop_future: timedelta | None = None,
        idle_close: timedelta | None = None,
        timestamp_field: str | None = None,
        emit: Emit | None = None,
    ) -> Pipeline:
        """Changes settings; None leaves one as it is.

        Args:
            parallelism: how many partitions are worked on at once (1).
            checkpoint_interval: the longest time that is read again after a crash (10 s). Results never wait for it.
            allowed_lateness: by how much a record may be behind the newest of its partition and still be taken (0).
            idle_timeout: how long a partition has to be without records to hold no window open any more (10 s).
            max_future: a record that is further ahead of the clock moves no watermark (5 min); a duration of 0: all do.
            drop_future: a record that is further ahead is left out (0: none is).
            idle_close: how long all partitions have to be without records for open windows to close anyway; a duration
                of 0, as without it: they wait for the next record.
            timestamp_field: the path of the event time within the value; without it, the record's own timestamp.
            emit: `"final"`, one result for each window and key, or `"update"`, those of open windows that have changed
                as well, once a second.

        Raises:
            InvalidRequest: a duration is not a timedelta of whole milliseconds.
        """
        durations = {
            "checkpointInterval": ("checkpoint_interval", checkpoint_interval),
            "allowedLateness": ("allowed_lateness", allowed_lateness),
            "idleTimeout": ("idle_timeout", idle_timeout),
            "maxFuture": ("max_future", max_future),
            "dropFuture": ("drop_future", drop_future),
            "idleClose": ("idle_close", idle_close),
        }
        given: dict[str, object] = {"parallelism": parallelism, "timestampField": timestamp_field, "emit": emit}
        given |= {
            field: milliseconds(name, duration) for field, (name, duration) in durations.items() if duration is not None
        }
        return self._configured(**{field: value for field, value in given.items() if value is not None})

    def definition(self) -> dict[str, Any]:
        """The definition as JSON has it, as `POST /api/v1/processors` and `forebay processors create` take it. Changing
        it does not change the pipeline."""
        return copy.deepcopy(self._definition)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self._definition == other._definition

    def __repr__(self) -> str:
        return f"<Pipeline {self._definition.get('name')!r}: {' | '.join(steps(self._definition))}>"

    def _then(self, operation: Mapping[str, object]) -> Pipeline:
        return self._with(operations=[*self._definition.get("operations", ()), operation])

    def _configured(self, **settings: object) -> Pipeline:
        return self._with(config={**self._definition.get("config", {}), **settings})

    def _with(self, **fields: object) -> Pipeline:
        return Pipeline({**self._definition, **fields})


def pipeline(name: str, *, source: str, offset: Start | None = None) -> Pipeline:
    """Begins the definition of a stream processor.

    ```python
    alerts = (
        forebay.pipeline("fraud-detection", source="transactions")
        .filter("value.amount > 1000")
        .window.tumbling(minutes=5)
        .aggregate("count", by="userId")
        .sink("fraud-alerts")
    )
    ```

    Args:
        name: unique among the processors of a log.
        source: the stream to read.
        offset: where it begins: `"latest"`, the default, behind the last record that there is when it is created, or
            `"earliest"`, at the first record that is kept.
    """
    begun: dict[str, object] = {"name": name, "source": source, "operations": []}
    if offset is not None:
        begun["offset"] = offset
    return Pipeline(begun)


def _aggregation(one: str | tuple[str, str]) -> dict[str, str]:
    if isinstance(one, str):
        return {"aggregation": one}
    match one:
        case (str(name), str(field)):
            return {"aggregation": name, "field": field}
    raise InvalidRequest(f'{one!r} is neither the name of an aggregation nor a name and a field, as ("sum", "amount")')
