"""Small JSON bodies of routes that create or change something. The engine reads bodies of events itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from forebay import errors

MAX_BODY_BYTES = 64 * 1024
"""The longest of these bodies, which hold names and numbers and no events."""

MUST_BE = "must_be"
"""The key in the `extra` of a field with a pattern under which stands, for people, what the field has to be."""

T = TypeVar("T", bound=msgspec.Struct)


def at_least_one(item: str, most: int) -> msgspec.Meta:
    """The schema of a list of events of which each has an answer of its own: any item is accepted, and named when it is
    invalid, but at least one has to be valid. `item` names the schema of a valid one, which another route has as its
    body."""
    good = {"$ref": f"#/components/schemas/{item}"}
    return msgspec.Meta(
        min_length=1,
        max_length=most,
        description="Events. One that is invalid is named in the answer, and the others are stored.",
        # `items` forbids nothing; it shows people and generators what an item looks like.
        extra_json_schema={"contains": good, "items": {"anyOf": [good, {"not": good}]}},
    )


def read(body: bytes, shape: type[T]) -> T:
    """The body as a struct.

    Raises:
        Malformed: it is not JSON.
        InvalidRequest: a field is missing, unknown or of another type or range.
    """
    try:
        return decode(body, shape)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(refusal(str(error), shape)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Malformed(f"the body is not valid JSON: {_detail(str(error))}") from None


def decode(body: bytes, shape: type[T]) -> T:
    """The body as a struct, with the exceptions of `msgspec.json.decode`.

    A whole number may be written with a fraction or an exponent (`13.0`, `1e3`), as the engine takes it: JSON knows one
    kind of number.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        if _A_FRACTION not in str(error):
            raise
    untyped = _UNTYPED.decode(body)
    try:
        return msgspec.convert(untyped, shape)
    except msgspec.ValidationError as error:
        if _A_RAW not in str(error):
            raise
        # A field that is kept as it is sent is written anew in this one case.
        return msgspec.json.decode(_written(untyped), type=shape)


_A_FRACTION = "got `float`"
_A_RAW = "Expected `raw`"


def _written(value: object) -> bytes:
    """Raises `ValidationError` for a number that cannot be written."""
    try:
        return msgspec.json.encode(value)
    except OverflowError as error:
        raise msgspec.ValidationError(str(error)) from None


_MAX_WHOLE_DIGITS = 20
"""More digits than the range of any field has. A number with a larger exponent is not even computed, since it may be of
any size."""


def _number(text: str) -> int | float:
    """The number, exact when it is whole."""
    try:
        exact = Decimal(text)
        if exact.is_zero():
            return 0
        if exact.adjusted() < _MAX_WHOLE_DIGITS and exact == exact.to_integral_value():
            return int(exact)
    except InvalidOperation:
        # Decimal does not take the exponent either.
        pass
    return float(text)


_UNTYPED = msgspec.json.Decoder(float_hook=_number)


_PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_OUT_OF_RANGE = re.compile(r"Expected `int` [<>]=? -?\d+")


def refusal(text: str, shape: type[msgspec.Struct]) -> str:
    """The message of msgspec behind the field's path, with names as they were sent, and with what is allowed."""
    found = _PLACE.fullmatch(text)
    what, place = (found[1], found[2]) if found else (text, "")
    kinds = _kinds(shape, place)
    if _OUT_OF_RANGE.fullmatch(what):
        what = _range(kinds) or what
    elif what.startswith("Invalid enum value "):
        what = f"{what}, {_words(kinds)}"
    elif what.startswith("Object contains unknown field "):
        what = f"{what}; it may have {_names(kinds)}"
    elif what.startswith("Expected `str` matching regex "):
        what = _pattern(kinds) or what
    return f"{place}: {_detail(what)}" if place else _detail(what)


def _kinds(shape: type[msgspec.Struct], place: str) -> list[msgspec.inspect.Type]:
    """The types that a value at the place may have."""
    kinds: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(shape)]
    for name in re.findall(r"[A-Za-z_]\w*", place):
        fields = [field for kind in kinds for field in getattr(kind, "fields", ()) if field.encode_name == name]
        kinds = [kind for field in fields for kind in _members(field.type)]
    return kinds


def _range(kinds: list[msgspec.inspect.Type]) -> str | None:
    """Both bounds of a whole number that is out of range; msgspec names only the one that it broke."""
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.IntType) and kind.ge is not None and kind.le is not None:
            return f"must be a whole number from {kind.ge} to {kind.le}"
    return None


def _words(kinds: list[msgspec.inspect.Type]) -> str:
    words = [word for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType) for word in kind.values]
    return f"must be one of {', '.join(map(str, words))}"


def _names(kinds: list[msgspec.inspect.Type]) -> str:
    return ", ".join(field.encode_name for kind in kinds for field in getattr(kind, "fields", ()))


def _pattern(kinds: list[msgspec.inspect.Type]) -> str | None:
    """What the field's `extra` says for people of its pattern."""
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.Metadata) and kind.extra is not None and MUST_BE in kind.extra:
            return f"must be {kind.extra[MUST_BE]}"
    return None


def _members(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """The types that a value may have, or the items of a list; what is said of a type comes before it."""
    if isinstance(kind, msgspec.inspect.Metadata):
        yield kind
        yield from _members(kind.type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for member in kind.types:
            yield from _members(member)
    elif isinstance(kind, msgspec.inspect.ListType):
        yield from _members(kind.item_type)
    else:
        yield kind


def _detail(text: str) -> str:
    """The text in the form of forebay's own messages, shortened."""
    text = text[:1].lower() + text[1:400]
    return text.removesuffix(".")
