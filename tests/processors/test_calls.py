"""What functions make of records: failures harm only the record that they are of."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forebay
from forebay.processors.calls import MAX_FAILURE_CHARACTERS, CallError, Calls
from forebay.processors.function import Function
from support.calls import LENGTH, answered, call

Outcome = tuple[list[tuple[int, str]], list[Any]]


def called(function: Function, values: list[Any]) -> Outcome:
    with closing(Calls({function.name: function})) as calls:
        return answered(calls.answer(call(function.name, values)))


def made(wrapped: Callable[[list[Any]], Any], fields: Any = None) -> Function:
    return forebay.function("f", fields=fields)(wrapped)


def test_results_come_in_the_order_of_values() -> None:
    double = made(lambda values: [{"twice": 2 * value["n"]} for value in values])
    assert called(double, [{"n": 1}, {"n": 2.5}]) == ([], [{"twice": 2}, {"twice": 5.0}])
    assert called(double, []) == ([], [])


def test_none_drops_and_a_list_fans_out() -> None:
    results = [None, [], [1, None, {"a": 1}, [2]], [[1, 2]], [None], "text", False, 0]
    kept = [None, [], [1, {"a": 1}, [2]], [[1, 2]], [], "text", False, 0]
    assert called(made(lambda values: results), [0] * len(results)) == ([], kept)


class Point(msgspec.Struct, array_like=True):
    x: int
    y: int


@pytest.mark.parametrize("result", [(1, 2), frozenset({1}), Point(1, 2)])
def test_an_array_that_is_no_list_is_one_value(result: Any) -> None:
    assert called(made(lambda values: [result]), [0]) == ([], [[json.loads(msgspec.json.encode(result))]])


def test_declared_fields_and_structs() -> None:
    function = made(lambda values: [value.a for value in values], ("a", "b"))
    assert called(function, [{"a": [1], "c": 2}, {"a": "x"}, {}]) == ([], [[1], "x", None])
    # A struct of them is a value, too.
    assert called(made(lambda values: values, ("a",)), [{"a": 1, "b": 2}]) == ([], [{"a": 1}])


def test_a_value_that_is_no_object_fails_alone_where_fields_are_declared() -> None:
    failures, results = called(made(lambda values: [value.a for value in values], ("a",)), [{"a": 1}, 7, {"a": 2}])
    assert failures == [(1, "ValidationError: Expected `object`, got `int`")]
    assert results == [1, None, 2]


def test_a_record_that_fails_does_so_alone() -> None:
    function = made(lambda values: [1 // value for value in values])
    assert called(function, [1, 0, 1, 1, 0]) == (
        [(index, "ZeroDivisionError: integer division or modulo by zero") for index in (1, 4)],
        [1, None, 1, 1, None],
    )


def test_values_that_were_changed_before_a_failure_are_as_they_were() -> None:
    def add(values: list[Any]) -> list[Any]:
        for value in values:
            value["n"] += 1
            if value["n"] == 4:
                raise ValueError("four")
        return values

    failures, results = called(made(add), [{"n": n} for n in range(6)])
    assert failures == [(3, "ValueError: four")]
    assert results == [{"n": 1}, {"n": 2}, {"n": 3}, None, {"n": 5}, {"n": 6}]


@given(
    values=st.lists(st.integers(0, 5), max_size=40), wrong=st.sets(st.integers(0, 5)), odd=st.sets(st.integers(0, 5))
)
def test_whichever_records_fail_the_others_are_what_single_calls_give(
    values: list[int], wrong: set[int], odd: set[int]
) -> None:
    def f(values: list[Any]) -> Any:
        if wrong & set(values):
            raise KeyError("wrong")
        if odd & set(values):
            # The whole list has one more, or cannot be written.
            return [*values, 0] if 0 in values else [object() for _ in values]
        return [[value, value] if value % 2 else {"is": value} for value in values]

    function = made(f)
    failures, results = called(function, values)
    single = [called(function, [value]) for value in values]
    assert results == [result for _, [result] in single]
    expected = [(index, text) for index, (told, _) in enumerate(single) for _, text in told]
    assert [index for index, _ in failures] == [index for index, _ in expected]
    assert failures == expected


def test_what_always_fails_is_called_for_each_record_no_more_often_than_halving_asks() -> None:
    seen: Counter[int] = Counter()
    calls = []

    def f(values: list[Any]) -> Any:
        calls.append(len(values))
        seen.update(values)
        raise RuntimeError("no")

    failures, results = called(made(f), list(range(1024)))
    assert (len(failures), results) == (1024, [None] * 1024)
    assert len(calls) == 2 * 1024 - 1
    assert set(seen.values()) == {11}


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("mute")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("why"), "ValueError: why"),
        (KeyError("amount"), "KeyError: 'amount'"),
        (AssertionError(), "AssertionError"),
        (MuteError(), "MuteError"),
        (ValueError("x" * 5000), "ValueError: " + "x" * (MAX_FAILURE_CHARACTERS - 12)),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (ValueError("\ud800" * 5000), ("ValueError: " + "\\ud800" * 5000)[:MAX_FAILURE_CHARACTERS]),
        (MemoryError(), "MemoryError"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_the_text_of_a_failure(error: Exception, text: str) -> None:
    def f(values: list[Any]) -> Any:
        raise error

    assert called(made(f), [0]) == ([(0, text)], [None])


def held() -> dict[str, Any]:
    """A dictionary that holds itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ([], "returned 0 results for 1 values"),
        ([1, 2], "returned 2 results for 1 values"),
        (None, "returned None, and not a list with a result for each value"),
        ({"a": 1}, "returned a value of the type dict, and not a list with a result for each value"),
        ((1,), "returned a value of the type tuple, and not a list with a result for each value"),
        ([object()], "TypeError: Encoding objects of type object is unsupported"),
        ([held()], "RecursionError: "),
        (["\ud800"], "UnicodeEncodeError: "),
        ([float("nan")], "returned NaN or an infinity, which are no JSON numbers; return None or a text instead"),
        ([{"a": [float("inf")]}], "returned NaN or an infinity"),
        ([[1, float("nan")]], "returned NaN or an infinity"),
    ],
)
def test_what_is_no_result_is_a_failure(returned: Any, text: str) -> None:
    [(index, told)], results = called(made(lambda values: returned), [0])
    assert (index, results) == (0, [None])
    assert told.startswith(text)


def test_nulls_in_values_are_no_failure() -> None:
    results = [{"a": None}, None, "null", [None, {"b": None}]]
    assert called(made(lambda values: results), [0] * 4) == ([], [{"a": None}, None, "null", [{"b": None}]])


DEEP = b"[" * 100_000 + b"]" * 100_000


def test_what_msgspec_does_not_take_reaches_the_function() -> None:
    """Streams hold it: half a surrogate pair, and a number beyond float64."""
    seen: list[Any] = []

    def f(values: list[Any]) -> list[Any]:
        seen.extend(values)
        return [0] * len(values)

    assert called(made(f), [b'{"a":"\\ud800"}', b"1e400", b'" ],{\\" "', b" 1 "]) == ([], [0] * 4)
    assert seen == [{"a": "\ud800"}, float("inf"), ' ],{" ', 1]
    seen.clear()
    assert called(made(f, ("a",)), [b'{"a":1e400}', b'{"a":1}']) == ([], [0] * 2)
    assert [value.a for value in seen] == [float("inf"), 1]


def test_what_python_cannot_hold_fails_alone() -> None:
    failures, results = called(made(lambda values: values), [1, DEEP, b"9" * 5000, 2])
    assert [(index, text.partition(":")[0]) for index, text in failures] == [(1, "RecursionError"), (2, "ValueError")]
    assert results == [1, None, None, 2]


def test_async_functions_share_one_event_loop() -> None:
    loops = []

    async def f(values: list[Any]) -> list[Any]:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        if 0 in values:
            raise ValueError("zero")
        if 1 in values:
            raise asyncio.CancelledError
        return values

    assert called(made(f), [2, 0, 1]) == (
        [(1, "ValueError: zero"), (2, "was cancelled by its own code")],
        [2, None, None],
    )
    assert len(loops) > 1
    assert len(set(loops)) == 1
    assert loops[0].is_closed()
    # Also behind a function that is not async itself.
    assert called(made(lambda values: f(values)), [2]) == ([], [2])


def test_what_ends_a_process_is_no_failure_unless_it_is_said_to_be() -> None:
    def f(values: list[Any]) -> Any:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        called(made(f), [0])
    with closing(Calls({"f": made(f)}, failing=(BaseException,))) as calls:
        assert answered(calls.answer(call("f", [0, 1]))) == ([(0, "SystemExit: 3"), (1, "SystemExit: 3")], [None] * 2)


def test_a_function_that_is_not_there() -> None:
    with closing(Calls({})) as calls:
        assert answered(calls.answer(call("f", [1, 2]))) == (
            [(0, "there is no function 'f' here"), (1, "there is no function 'f' here")],
            [None, None],
        )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\1\0\0\0f",
        b"\1\0\0\0\xff\1\0\0\0[1]",
        LENGTH.pack(1) + b"f" + LENGTH.pack(2) + b"[1]",
        LENGTH.pack(1) + b"f" + LENGTH.pack(0) + b"[1]",
    ],
)
def test_what_is_no_call_ends_the_process(body: bytes) -> None:
    with closing(Calls({"f": made(lambda values: values)})) as calls, pytest.raises(CallError):
        calls.answer(body)
