"""`forebay.function`: Python functions that processors call with the values of records."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from forebay.errors import InvalidRequest

NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")

Fields = type[msgspec.Struct]


class Function(msgspec.Struct, frozen=True, dict=True):
    """A function for the operation `map`. It can still be called, and has the name and the documentation of what it was
    made of."""

    name: str
    wrapped: Callable[[list[Any]], Any]
    fields: Fields | None
    """Each value is decoded to this; None: to whatever it is."""

    def __post_init__(self) -> None:
        # functools.update_wrapper sets attributes, which is refused here.
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.wrapped, attribute):
                vars(self)[attribute] = getattr(self.wrapped, attribute)
        vars(self)["__wrapped__"] = self.wrapped

    @property
    def is_async(self) -> bool:
        """True if a call gives a coroutine."""
        return inspect.iscoroutinefunction(self.wrapped)

    def __call__(self, values: list[Any]) -> Any:
        return self.wrapped(values)


def function(
    name: str, *, fields: Sequence[str] | Fields | None = None
) -> Callable[[Callable[[list[Any]], Any]], Function]:
    """Makes a function one that processors can call: `{"type": "map", "function": name}`, `Pipeline.map(name)`.

    ```python
    @forebay.function("score", fields=("amount", "country"))
    def score(values):
        return [{"risk": value.amount / 1000, "country": value.country} for value in values]
    ```

    It is called with a list of values, and returns a list of as many results, in the same order: None drops the record,
    a list makes a record of each of its elements, but of None none, and anything else that msgspec can write as JSON is
    the record's new value. An array as a value is wrapped in a list. It may be `async`. It may be called several times
    for a record: when it failed for another one of the same list, and again after a crash.

    Args:
        name: 1 to 249 letters, digits and `.`, `_`, `-`.
        fields: the fields that it looks at, by name: a value is an object then, `value.amount`, in which what is
            missing is None. Or a `msgspec.Struct` that values are decoded to. Both cost a third of decoding whole
            values, and neither changes what is written: what the function returns is the whole new value.

    Raises:
        InvalidRequest: the name or the fields are not such.
    """
    _check_name(name)
    shape = None if fields is None else _shape(name, fields)

    def made(wrapped: Callable[[list[Any]], Any]) -> Function:
        if not callable(wrapped):
            raise _refused(f"the function {name!r} is {wrapped!r}, which cannot be called")
        return Function(name, wrapped, shape)

    return made


def _shape(name: str, fields: Sequence[str] | Fields) -> Fields:
    if isinstance(fields, type) and issubclass(fields, msgspec.Struct):
        try:
            msgspec.json.Decoder(list[fields])  # type: ignore[valid-type] # the type is known at run time only
        except (TypeError, NameError) as error:
            raise _refused(f"fields of the function {name!r}: {fields.__name__} cannot be decoded: {error}") from None
        return fields
    if not fields or not _are_names(fields):
        raise _refused(f"fields of the function {name!r} is {fields!r}, which is neither a list of names nor a Struct")
    for field in fields:
        if not field.isidentifier() or keyword.iskeyword(field) or field.startswith("__"):
            raise _refused(
                f"fields of the function {name!r} has {field!r}, which cannot be an attribute; a msgspec.Struct with "
                "rename can have it"
            )
    if len(set(fields)) < len(fields):
        raise _refused(f"fields of the function {name!r} names a field twice")
    return msgspec.defstruct("Value", [(field, Any, None) for field in fields])


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refused(
            f"{name!r} is no name of a function: 1 to 249 letters, digits and . _ -, as in @forebay.function('score')"
        )


def _are_names(fields: object) -> bool:
    """False for a text, too, although it is a sequence of texts."""
    return isinstance(fields, list | tuple) and all(isinstance(field, str) for field in fields)


def _refused(detail: str) -> InvalidRequest:
    # Imported here, since it loads the engine, which the processes that run functions have no use for.
    from forebay.errors import InvalidRequest

    return InvalidRequest(detail)
