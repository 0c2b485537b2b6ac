"""Small JSON bodies that Python reads: those that create and change things. Bodies of events are Rust's."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from forebay import errors

MAX_BODY_BYTES = 64 * 1024
"""The longest body of a route that creates or changes something: names and numbers, not events."""

T = TypeVar("T", bound=msgspec.Struct)


def read(body: bytes, shape: type[T]) -> T:
    """The body as a struct.

    Raises:
        Malformed: it is not JSON.
        InvalidRequest: a field is missing, unknown or of another type or range.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(_range(str(error), shape) or _detail(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Malformed(f"the body is not valid JSON: {_detail(str(error))}") from None


_OUT_OF_RANGE = re.compile(r"Expected `int` [<>]=? -?\d+ - at `\$\.(\w+)`")


def _range(text: str, shape: type[msgspec.Struct]) -> str | None:
    """Both bounds of a whole number that is out of range; msgspec names the one that it broke."""
    found = _OUT_OF_RANGE.fullmatch(text)
    inspected = msgspec.inspect.type_info(shape)
    if found is None or not isinstance(inspected, msgspec.inspect.StructType):
        return None
    for field in inspected.fields:
        kind = field.type
        if field.encode_name != found[1] or not isinstance(kind, msgspec.inspect.IntType):
            continue
        if kind.ge is not None and kind.le is not None:
            return f"{field.encode_name}: must be a whole number from {kind.ge} to {kind.le}"
    return None


def _detail(text: str) -> str:
    """As our own messages are written, and not longer than they are."""
    text = text[:1].lower() + text[1:400]
    return text.removesuffix(".")
