"""`forebay.function` makes functions, and refuses what can be none."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

import forebay
from forebay.errors import InvalidRequest

UNTYPED: Any = forebay.function
"""For arguments that a type checker would refuse."""


class Order(msgspec.Struct):
    amount: float
    user_id: str = msgspec.field(name="user-id", default="")


class Unknown(msgspec.Struct):
    amount: "Nothing"  # type: ignore[name-defined] # noqa: F821, UP037 - a type that is nowhere


def test_a_function_can_still_be_called_and_keeps_what_it_says() -> None:
    @forebay.function("double")
    def double(values: list[int]) -> list[int]:
        """Twice as much."""
        return [2 * value for value in values]

    assert double([1, 2]) == [2, 4]
    assert (double.name, double.fields, double.is_async) == ("double", None, False)
    assert (inspect.getdoc(double), double.__name__, double.__module__) == ("Twice as much.", "double", __name__)  # type: ignore[attr-defined]
    assert list(inspect.signature(double).parameters) == ["values"]
    with pytest.raises(AttributeError):
        double.name = "other"  # type: ignore[misc]


def test_whether_it_is_async_is_known() -> None:
    @forebay.function("later")
    async def later(values: list[Any]) -> list[Any]:
        return values

    assert later.is_async


def test_fields_become_attributes_that_are_none_where_they_are_missing() -> None:
    @forebay.function("f", fields=["amount", "_id"])
    def f(values: list[Any]) -> list[Any]:
        return values

    assert f.fields is not None
    value: Any = msgspec.json.decode(b'{"amount": {"of": 1}, "more": 2}', type=f.fields)
    assert (value.amount, value._id) == ({"of": 1}, None)


def test_a_struct_is_taken_as_it_is() -> None:
    made = forebay.function("f", fields=Order)(lambda values: values)
    assert made.fields is Order


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249])
def test_names(name: str) -> None:
    assert forebay.function(name)(len).name == name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: forebay.function(""), "^'' is no name of a function: 1 to 249 letters"),
        (lambda: forebay.function("x" * 250), "is no name of a function"),
        (lambda: forebay.function("a b"), "is no name of a function"),
        (lambda: forebay.function("a\n"), "is no name of a function"),
        (lambda: forebay.function("ä"), "is no name of a function"),
        # Without a name, the decorator gets the function.
        (lambda: UNTYPED(len), r"is no name of a function: .*, as in @forebay.function\('score'\)$"),
        (lambda: UNTYPED("f")(3), "^the function 'f' is 3, which cannot be called$"),
        (lambda: forebay.function("f", fields=()), r"is \(\), which is neither a list of names nor a Struct"),
        (lambda: forebay.function("f", fields="amount"), "is 'amount', which is neither"),
        (lambda: UNTYPED("f", fields=[1]), "which is neither"),
        (lambda: UNTYPED("f", fields=int), "which is neither"),
        (
            lambda: forebay.function("f", fields=["user-id"]),
            "has 'user-id', which cannot be an attribute; a msgspec.St",
        ),
        (lambda: forebay.function("f", fields=["class"]), "has 'class', which cannot be"),
        (lambda: forebay.function("f", fields=["__init__"]), "has '__init__', which cannot be"),
        (lambda: forebay.function("f", fields=["a", "a"]), "names a field twice"),
        (lambda: forebay.function("f", fields=Unknown), "Unknown cannot be decoded: name 'Nothing' is not defined"),
    ],
)
def test_what_can_be_no_function_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        wrong()
