"""Tables of the configuration as structs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from forebay.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def shaped(place: str, table: Mapping[str, Any], shape: type[T]) -> T:
    """The table as `shape`. The message has no value of it: some are passwords.

    Args:
        place: how errors call the table: `dependency[0]`.

    Raises:
        ConfigError: a field is missing, unknown, of another type or out of range.
    """
    try:
        return msgspec.convert(dict(table), shape)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`")
        # A field that is unknown or missing may have stood for one that is there.
        known = f"; its fields are {', '.join(shape.__struct_fields__)}" if not field and "field" in what else ""
        raise ConfigError(f"{place}{field}: {what[:1].lower()}{what[1:]}{known}") from None
