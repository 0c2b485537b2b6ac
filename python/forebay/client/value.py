"""Values of applications, as JSON can hold them and within bounds, whatever they are."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import types
import uuid
from collections import deque
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from typing import Any

import msgspec

MAX_DEPTH = 60
"""The server refuses more than 64 levels, and the event itself is some of them. What is deeper becomes text."""

LONG_CHARACTERS = 1024
"""A text of more counts as a part of its own, which may be in a value many times and take its memory once."""

REPEATED_BYTES = 1 << 20
"""Bound of the JSON of what a value holds more than once: thirty lists, each twice in the next, come to a thousand
million."""

REPEATED_PARTS = 100
"""Parts that are written again in a value with more than that; the others become text."""

MAX_PARTS = 1_000_000
"""Parts of a value that is not taken as it is: some seconds at the most, for who hands over as much memory."""

FOREIGN_PARTS = 2_000
"""Entries of mappings that are not Python's own: these may make entries for ever."""

OBJECT_CHARACTERS = 16_384
"""Bound of the text of an object that JSON does not know: some print all that they hold."""

INTEGER_BITS = 8_192
"""A larger integer is replaced by its size, since writing it takes the square of that."""

FLAT_ENTRIES = 32
FLAT_DEPTH = 2
"""Bounds of the common case. What is in it many times over comes to some megabytes at most."""

FULL_CHARACTERS = 48
"""Kept of a text for which there is no room any more."""

_AS_IT_IS = frozenset(
    {
        bool,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        float,
        type(None),
        uuid.UUID,
    }
)
_SMALL = _AS_IT_IS | {int, decimal.Decimal}
_FLAT = frozenset({dict, list, tuple})
_BYTES = frozenset({bytes, bytearray})
_LISTS = frozenset({frozenset, list, set, tuple})
_SMALL_BYTES = 2
"""The least JSON that anything takes, with what is before the next."""
_TOO_MUCH = 1 << 62


def is_flat(value: Any, depth: int = FLAT_DEPTH) -> bool:
    """Tells whether it is as most events are, so small that nothing in it needs a further look."""
    if len(value) > FLAT_ENTRIES:
        return False
    for entry in value.values() if type(value) is dict else value:
        kind = type(entry)
        if kind is str:
            if len(entry) > LONG_CHARACTERS:
                return False
        elif kind not in _SMALL and not (depth and kind in _FLAT and is_flat(entry, depth - 1)):
            return False
    return True


class Scale:
    """Tells whether a value can be written, and whether it can be encoded as it is, in a time that is in proportion to
    the memory that it takes, and whether that may be no more than `limit` bytes of JSON."""

    __slots__ = ("_foreign", "_held", "_known", "_limit", "is_strange", "repeated")

    def __init__(self, limit: int = _TOO_MUCH) -> None:
        self._limit = limit
        self._known: dict[int, int] = {}
        self._foreign = FOREIGN_PARTS
        self._held: list[Any] = []
        self.repeated = 0
        """Bytes, at least, of what is there again."""
        self.is_strange = False
        """It holds something of another type than JSON's and Python's own."""

    def takes(self, value: Any) -> bool:
        """Tells whether it is neither strange nor endless. Raises what a value raises that another thread changes."""
        return self.is_bounded(value) and not self.is_strange

    def is_bounded(self, value: Any) -> bool:
        return self._part(value, MAX_DEPTH) < self._limit and self.repeated <= REPEATED_BYTES

    def _part(self, value: Any, depth: int) -> int:
        kind = type(value)
        if kind in _SMALL:
            return _SMALL_BYTES
        if kind is str and len(value) <= LONG_CHARACTERS:
            return len(value)
        known = self._known.get(id(value))
        if known is not None:
            self.repeated += known
            return known
        if kind is str or kind in _BYTES:
            weight = len(value)
        elif kind is dict or kind in _LISTS:
            # What is found again while it is looked at holds itself.
            self._known[id(value)] = _TOO_MUCH
            weight = self._entries(value, depth) if depth > 0 else _TOO_MUCH
        else:
            self.is_strange = True
            weight = self._strange(value, depth)
        self._known[id(value)] = weight
        return weight

    def _strange(self, value: Any, depth: int) -> int:
        entries: Any
        if isinstance(value, BaseException):
            entries = value.args
        else:
            entries = _entries(value.value if isinstance(value, enum.Enum) else value)
        if entries is None:
            return _SMALL_BYTES
        self._known[id(value)] = _TOO_MUCH
        if isinstance(entries, Mapping):
            entries = list(itertools.islice(entries.values(), self._foreign))
        else:
            entries = list(itertools.islice(entries, self._foreign))
        self._foreign -= len(entries)
        # An id is given again when its object is gone.
        self._held.append(entries)
        return self._entries(entries, depth) if depth > 0 and self._foreign > 0 else _TOO_MUCH

    def _entries(self, value: Any, depth: int) -> int:
        total = 2 + _SMALL_BYTES * len(value)
        if total >= self._limit:
            return _TOO_MUCH
        entries = value
        if type(value) is dict:
            entries = value.values()
            for name in value:
                total += len(name) if type(name) is str else self._part(name, depth - 1)
        elif len(value) > LONG_CHARACTERS and _SMALL.issuperset(map(type, value)):
            return total
        for entry in entries:
            kind = type(entry)
            if kind in _SMALL:
                continue
            if kind is str and len(entry) <= LONG_CHARACTERS:
                total += len(entry)
            else:
                total += self._part(entry, depth - 1)
            if total >= self._limit or self.repeated > REPEATED_BYTES:
                return _TOO_MUCH
        return total


class Plain:
    """Makes of any value one that JSON has: what is too deep, too much, holds itself or is there too often becomes text
    that says so, and what JSON does not know its own text. Of a text at most `characters` are kept, and of all of them
    about `room`; of parts at most `parts`. Nothing raises."""

    def __init__(self, characters: int = _TOO_MUCH, room: int = _TOO_MUCH, parts: int = MAX_PARTS) -> None:
        self._characters = characters
        self._room = room
        self._parts = parts
        self._foreign = FOREIGN_PARTS
        self._again = 0
        self._path: set[int] = set()
        # The objects as well: an id is given again when its object is gone.
        self._seen: dict[int, Any] = {}

    def whole(self, value: Any) -> Any:
        """Makes a plain value of all that an event holds."""
        try:
            bounded = Scale(self._room).is_bounded(value)
        except Exception:
            bounded = False
        self._again = self._parts if bounded else REPEATED_PARTS
        return self.value(value)

    def value(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        kind = type(value)
        self._parts -= 1
        if kind in _AS_IT_IS or (kind is int and -(1 << 63) <= value < 1 << 64):
            return value
        try:
            return self._value(value, depth)
        except Exception as error:
            # A stranger's mapping, or one that another thread changes.
            return f"<{kind.__name__}: {type(error).__name__}>"

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.value(value.value, depth - 1) if depth > 0 else type(value).__name__
        if isinstance(value, str):
            return self.key(value)
        if isinstance(value, int):
            return int(value) if -(1 << 63) <= value < 1 << 64 else self.text(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, bytes | bytearray | memoryview):
            size = memoryview(value).nbytes
            fits = size <= min(self._characters, max(self._room, FULL_CHARACTERS)) and not self._is_spent(value, size)
            self._room -= size
            return bytes(value) if fits else _described(value, f"{size} bytes")
        if (entries := _entries(value)) is None:
            return self.text(value)
        return self._container(value, entries, depth)

    def _container(self, value: Any, entries: Any, depth: int) -> Any:
        if id(value) in self._path:
            return _described(value, "holds itself")
        if depth <= 0:
            return _described(value, "too deep")
        if self._is_spent(value, 0):
            return _described(value, "seen before")
        self._path.add(id(value))
        try:
            return self._mapping(entries, depth) if isinstance(entries, Mapping) else self._list(entries, depth)
        finally:
            self._path.discard(id(value))

    def _mapping(self, entries: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        foreign = not isinstance(entries, dict)
        try:
            for name, entry in entries.items():
                if self._is_full(foreign):
                    made["…"] = "<too many>"
                    break
                made[self.key(name)] = self.value(entry, depth - 1)
        except Exception as error:
            # What came before is kept.
            made["…"] = _described(entries, type(error).__name__)
        return made

    def _list(self, entries: Iterable[Any], depth: int) -> list[Any]:
        made: list[Any] = []
        foreign = not isinstance(entries, list | tuple | set | frozenset | deque)
        try:
            for entry in entries:
                if self._is_full(foreign):
                    made.append("<too many>")
                    break
                made.append(self.value(entry, depth - 1))
        except Exception as error:
            made.append(_described(entries, type(error).__name__))
        return made

    def _is_full(self, foreign: bool) -> bool:
        self._foreign -= foreign
        return self._parts <= 0 or self._foreign < 0

    def _is_spent(self, value: Any, size: int) -> bool:
        """Tells whether it was there before, and there is to be no more of that."""
        if id(value) not in self._seen:
            self._seen[id(value)] = value
            return False
        self._again -= 1 + size // LONG_CHARACTERS
        return self._again < 0

    def key(self, name: Any) -> str:
        if not isinstance(name, str):
            return self.text(name)
        text = str.__str__(name)
        if len(text) > LONG_CHARACTERS and self._is_spent(name, len(text)):
            return _described(name, "seen before")
        return self._cut(text, self._characters)

    def text(self, value: Any) -> str:
        """Whatever it is: `str` of a stranger's object may raise anything, or be endless."""
        try:
            if isinstance(value, str):
                return self._cut(str.__str__(value), self._characters)
            if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
                return f"<int: {value.bit_length()} bits>"
            if isinstance(value, BaseException) and not Scale().is_bounded(value.args):
                return f"{type(value).__name__}: {_described(value.args, 'too much')}"
            if _entries(value) is not None and not _can_be_written(value):
                value = Plain(self._characters, self._room, self._parts).whole(value)
            return self._cut(str(value), min(OBJECT_CHARACTERS, self._characters))
        except Exception as error:
            return f"<{type(value).__name__}: {type(error).__name__}>"

    def _cut(self, text: str, characters: int) -> str:
        if self._room <= 0:
            characters = min(characters, FULL_CHARACTERS)
        self._room -= min(len(text), characters)
        if len(text) > characters:
            text = f"{text[:characters]}… ({len(text)} characters)"
        # Lone surrogates are no text to others.
        return text if text.isascii() else text.encode(errors="replace").decode()


def _can_be_written(value: Any) -> bool:
    try:
        return Scale().is_bounded(value)
    except Exception:
        # A mapping that cannot be read may have a text all the same.
        return True


def _described(value: Any, what: str) -> str:
    return f"<{type(value).__name__}: {what}>"


def _entries(value: Any) -> Any:
    """Returns what a container holds, as a mapping or an iterable; None for what is none."""
    if isinstance(value, Mapping | list | tuple | set | frozenset | deque | KeysView | ValuesView | ItemsView):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, types.SimpleNamespace):
        return vars(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
        return {attribute.name: getattr(value, attribute.name, None) for attribute in attributes}
    return None
