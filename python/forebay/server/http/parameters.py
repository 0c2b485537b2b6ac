"""Query parameters and request headers. One row gives both the check of a request and its OpenAPI entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from forebay import errors
from forebay.server.http.request import shown

T = TypeVar("T")
D = TypeVar("D")

MAX_QUERY_FIELDS = 64
"""No route has more than a dozen parameters; a query with more fields than this is an attack on the parser."""

REQUIRED: Any = object()
"""The default of a parameter that has to be given."""


@dataclass(slots=True, frozen=True)
class Parameter(Generic[T]):
    """One row of the table.

    Attributes:
        default: None means that the route decides; `description` then says how.
        read: returns None for a text that is not `expected`; it is refused as `error`.
        schema: JSON Schema 2020-12, without the default.
        prefix: the row stands for every parameter whose name begins so. `read` gets `name=value`, and the value is the
            tuple of all that are given. OpenAPI has no such parameters, so they are a part of the route's description.
    """

    name: str
    default: T
    description: str
    read: Callable[[str], Any]
    expected: str
    schema: Mapping[str, object]
    error: type[errors.ForebayError] = errors.InvalidRequest
    prefix: str | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def value(self, text: str) -> T:
        """The value that `text` stands for.

        Raises:
            InvalidRequest, or the row's `error`: the text is not `expected`.
        """
        value: T | None = self.read(text)
        if value is None:
            raise self.error(f"{self.name} is {shown(text)}, which is not {self.expected}")
        return value


def whole(
    name: str,
    default: D,
    low: int,
    high: int,
    description: str,
    *,
    words: Sequence[str] = (),
    error: type[errors.ForebayError] = errors.InvalidRequest,
) -> Parameter[int | D]:
    """A whole number from `low` to `high`, both included, or one of `words`, which stays a text."""

    def read(text: str) -> int | str | None:
        if text in words:
            return text
        # int() would also take blanks, underscores and the digits of other scripts.
        number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
        return number if number is not None and low <= number <= high else None

    schema: dict[str, object] = {"type": "integer", "minimum": low, "maximum": high}
    expected = f"a whole number from {low} to {high}"
    if words:
        schema = {"oneOf": [{"enum": list(words)}, schema]}
        expected = f"{', '.join(words)} or {expected}"
    return Parameter(name, default, description, read, expected, schema, error)


def choice(name: str, default: D, choices: Sequence[str], description: str) -> Parameter[str | D]:
    """A parameter that is one of `choices`, in this spelling."""
    return Parameter(
        name,
        default,
        description,
        lambda text: text if text in choices else None,
        f"one of {', '.join(choices)}",
        {"type": "string", "enum": list(choices)},
    )


def flag(name: str, default: bool, description: str) -> Parameter[bool]:
    """A parameter that is `true` or `false`."""
    return Parameter(
        name, default, description, {"true": True, "false": False}.get, "true or false", {"type": "boolean"}
    )


def text(
    name: str, default: D, description: str, *, low: int = 1, high: int = 1024, pattern: str | None = None
) -> Parameter[str | D]:
    """A text of `low` to `high` characters that matches `pattern` as a whole. The pattern has to mean the same in
    ECMA 262, the dialect of JSON Schema."""

    def read(given: str) -> str | None:
        fits = low <= len(given) <= high and (pattern is None or re.fullmatch(pattern, given, re.ASCII))
        return given if fits else None

    schema: dict[str, object] = {"type": "string", "minLength": low, "maxLength": high}
    expected = f"a text of {low} to {high} characters"
    if pattern is not None:
        schema["pattern"] = f"^(?:{pattern})$"
        expected += f" that matches {pattern}"
    return Parameter(name, default, description, read, expected, schema)


@dataclass(slots=True, frozen=True, init=False)
class Parameters:
    """The query parameters of one route."""

    rows: tuple[Parameter[Any], ...]
    family: Parameter[Any] | None
    """The row with a prefix."""
    _known: dict[str, Parameter[Any]] = field(repr=False)
    _defaults: dict[str, Any] = field(repr=False)
    _required: tuple[Parameter[Any], ...] = field(repr=False)

    def __init__(self, *rows: Parameter[Any]) -> None:
        single = tuple(row for row in rows if row.prefix is None)
        families = [row for row in rows if row.prefix is not None]
        known = {row.name: row for row in single}
        if len(known) < len(single) or len(families) > 1:
            raise ValueError("a query parameter is declared twice")
        object.__setattr__(self, "rows", single)
        object.__setattr__(self, "family", families[0] if families else None)
        object.__setattr__(self, "_known", known)
        object.__setattr__(self, "_defaults", {row.name: row.default for row in rows})
        object.__setattr__(self, "_required", tuple(row for row in rows if row.required))

    def __iter__(self) -> Iterator[Parameter[Any]]:
        return iter(self.rows)

    def parse(self, query: str) -> dict[str, Any]:
        """The values of a query string by name, defaults included. Callers must not change the dictionary, which may be
        shared.

        Raises:
            InvalidRequest: a parameter is unknown, given twice, missing or malformed.
        """
        values = self._defaults | self._given(query) if query else self._defaults
        for row in self._required:
            if values[row.name] is REQUIRED:
                raise errors.InvalidRequest(f"query parameter {row.name} is missing; give {row.expected}")
        return values

    def _given(self, query: str) -> dict[str, Any]:
        if self.family is not None:
            # `metadata.status>500` has no sign of equality.
            query = "&".join(field if "=" in field else f"{field}=" for field in query.split("&"))
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
            )
        except ValueError:
            raise errors.InvalidRequest("the query string is not a list of name=value pairs in UTF-8") from None
        given: dict[str, Any] = {}
        names: set[str] = set()
        for name, value in pairs:
            if name in names:
                raise errors.InvalidRequest(f"query parameter {shown(name)} is given twice")
            names.add(name)
            row = self._known.get(name)
            if row is not None:
                given[name] = row.value(value)
            elif self.family is not None and name.startswith(self.family.prefix or ""):
                given[self.family.name] = (*given.get(self.family.name, ()), self.family.value(f"{name}={value}"))
            else:
                family = () if self.family is None else (f"{self.family.prefix}…",)
                expected = ", ".join(sorted((*self._known, *family))) or "none"
                raise errors.InvalidRequest(f"unknown query parameter {shown(name)}; known here: {expected}")
        return given


NO_PARAMETERS = Parameters()
