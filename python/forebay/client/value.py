"""Values of applications, as JSON can hold them and within bounds, whatever they are."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import uuid
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from typing import Any, NamedTuple

import msgspec

MAX_DEPTH = 60
"""The server refuses more than 64 levels, and the event itself is some of them. What is deeper becomes text."""

LONG_CHARACTERS = 1024
"""A text of more counts as a part of its own, which may be in a value many times and take its memory once."""

REPEATED_BYTES = 1 << 20
"""Bound of the JSON of what a value holds more than once: thirty lists, each twice in the next, come to a thousand
million."""

REPEATED_AGAIN_BYTES = 1 << 12
"""Bound of it in a value that has more than that: the more of it were kept, the less would it say."""

FOREIGN_PARTS = 2_000
"""Entries of mappings that are not Python's own: these may make entries for ever."""

OBJECT_CHARACTERS = 16_384
"""Bound of the text of an object that JSON does not know: some print all that they hold."""

INTEGER_BITS = 8_192
"""A larger integer is replaced by its size, since writing it takes the square of that."""

SMALL_PARTS = 1_000
SMALL_DEPTH = 8
"""Bounds of the common case, which is taken as it is. What is in it many times over comes to some megabytes at most."""

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
_SCALARS = _SMALL | {str}
_NUMBERS = frozenset({bool, float, int})
_CONTAINERS = frozenset({dict, frozenset, list, set, tuple})
_OWN = _SMALL | _CONTAINERS | {bytes, bytearray, str}
_SMALL_BYTES = 2
"""The least JSON that anything takes, with what is before the next."""
_TOO_MUCH = 1 << 62


def spare_parts(value: Any, spare: int = SMALL_PARTS, depth: int = SMALL_DEPTH) -> int:
    """Returns how many more parts a container may have and be of the common case, in which nothing needs a further
    look; negative when it is not."""
    spare -= len(value)
    if spare < 0 or depth < 0:
        return -1
    for entry in value.values() if type(value) is dict else value:
        kind = type(entry)
        if kind is str:
            if len(entry) > LONG_CHARACTERS:
                spare -= len(entry) // LONG_CHARACTERS
        elif kind not in _SMALL:
            if kind not in _CONTAINERS:
                return -1
            spare = spare_parts(entry, spare, depth - 1)
            if spare < 0:
                return -1
    return spare


def is_bounded(value: Any) -> bool:
    """Tells whether its text can be written, in a time that is in proportion to the memory that it takes."""
    if type(value) is tuple and _SCALARS.issuperset(map(type, value)):
        return True
    plain = Plain(measures=True)
    plain.value(value)
    return not plain.is_cut


def whole(
    value: Any, characters: int = _TOO_MUCH, room: int = _TOO_MUCH, parts: int = _TOO_MUCH, *, own: int = 1
) -> tuple[Any, bool]:
    """Makes a plain value, see `Plain`. Tells as well that something was left out for want of room, or of parts."""
    plain = Plain(characters, room, parts, own=own)
    made = plain.value(value)
    if plain.repeated < 0:
        plain = Plain(characters, room, parts, own=own, repeated=REPEATED_AGAIN_BYTES)
        made = plain.value(value)
    return made, plain.is_full


class _Part(NamedTuple):
    """A part that may be there again."""

    value: Any
    """The object as well: an id is given again when its object is gone."""
    made: Any
    bytes: int
    """Its JSON, at least; -1 while it is made."""
    parts: int
    depth: int


class Plain:
    """Makes of any value one that JSON has: what is too deep, too much, holds itself or is there too often becomes text
    that says so, and what JSON does not know its own text. Nothing raises.

    Args:
        characters: kept of a text, at most.
        room: about so many bytes are made.
        parts: so many parts are taken. With `own` 0 those of JSON's and Python's own types do not count, and the walk
            ends when the room is used up.
        repeated: so many bytes of what is there again are written again.
        measures: only `is_cut` is of use, and no object is asked for its text.
    """

    def __init__(
        self,
        characters: int = _TOO_MUCH,
        room: int = _TOO_MUCH,
        parts: int = _TOO_MUCH,
        *,
        own: int = 1,
        repeated: int = REPEATED_BYTES,
        measures: bool = False,
    ) -> None:
        self._characters = characters
        self._room = room
        self._parts = parts
        self._own = own
        self._measures = measures
        self._foreign = FOREIGN_PARTS
        self.repeated = repeated
        """Bytes that are left of it; negative when there was more."""
        self._known: dict[int, _Part] = {}
        self.is_cut = False
        """Something is endless, too deep, or there too often."""
        self.is_full = False
        """Something was left out for want of room, or of parts."""

    def value(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        kind = type(value)
        self._parts -= self._own if kind in _OWN else 1
        self._room -= _SMALL_BYTES
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
            return self._once(value, depth, self._bytes)
        entries = _entries(value)
        if entries is None and self._measures and isinstance(value, BaseException):
            entries = value.args
        if entries is None:
            return self.text(value)
        if depth <= 0:
            return self._replaced(value, "too deep")
        if not self._own and type(entries) in _CONTAINERS and _SMALL_BYTES * len(entries) > self._room:
            # Without a walk.
            self._room = 0
        make = self._mapping if isinstance(entries, Mapping) else self._list
        return self._once(value, depth, lambda _, depth: make(entries, depth))

    def _once(self, value: Any, depth: int, make: Callable[[Any, int], Any]) -> Any:
        """Makes it, unless it was made before or is being made."""
        if (known := self._known.get(id(value))) is not None:
            if known.bytes < 0:
                return self._replaced(value, "holds itself")
            self.repeated -= known.bytes
            if self.repeated < 0 or known.bytes > self._room or known.parts > self._parts:
                return self._replaced(value, "seen before")
            self._room -= known.bytes
            self._parts -= known.parts
            # Deeper than it was, it might go too deep.
            if known.depth <= depth:
                return known.made
        self._known[id(value)] = _Part(value, None, -1, 0, depth)
        room, parts = self._room, self._parts
        made = make(value, depth)
        self._known[id(value)] = _Part(value, made, room - self._room, parts - self._parts, depth)
        return made

    def _replaced(self, value: Any, what: str) -> str:
        self.is_cut = True
        return _described(value, what)

    def _bytes(self, value: Any, _depth: int) -> bytes | str:
        size = memoryview(value).nbytes
        fits = size <= min(self._characters, max(self._room, FULL_CHARACTERS))
        self._room -= size
        return bytes(value) if fits and not self._measures else _described(value, f"{size} bytes")

    def _mapping(self, entries: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        foreign = not isinstance(entries, dict)
        try:
            for name, entry in entries.items():
                if self._is_full(foreign):
                    made["…"] = "<too many>"
                    break
                if self._measures and type(name) is not str:
                    self.value(name, depth - 1)
                made[self.key(name)] = self.value(entry, depth - 1)
        except Exception as error:
            # What came before is kept.
            made["…"] = _described(entries, type(error).__name__)
        return made

    def _list(self, entries: Iterable[Any], depth: int) -> list[Any]:
        if self._are_numbers(entries):
            return list(entries)
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

    def _are_numbers(self, entries: Iterable[Any]) -> bool:
        """Tells whether they are many numbers, and may all be taken: that is found in a tenth of the time."""
        if not isinstance(entries, list | tuple) or len(entries) <= LONG_CHARACTERS:
            return False
        size, parts = _SMALL_BYTES * len(entries), self._own * len(entries)
        if size > self._room or parts > self._parts or not _NUMBERS.issuperset(map(type, entries)):
            return False
        if not (min(entries) >= -(1 << 63) and max(entries) < 1 << 64):
            return False
        self._room -= size
        self._parts -= parts
        return True

    def _is_full(self, foreign: bool) -> bool:
        self._foreign -= foreign
        if self._parts <= 0 or (not self._own and self._room <= 0):
            self.is_cut = self.is_full = True
        elif self._foreign < 0:
            self.is_cut = True
        else:
            return False
        return True

    def key(self, name: Any) -> str:
        if not isinstance(name, str):
            return self.text(name)
        if len(name) > LONG_CHARACTERS:
            return str(self._once(name, 0, lambda name, _: self._cut(str.__str__(name), self._characters)))
        return self._cut(str.__str__(name), self._characters)

    def text(self, value: Any) -> str:
        """Whatever it is: `str` of a stranger's object may raise anything, or be endless."""
        if self._measures:
            return ""
        try:
            if isinstance(value, str):
                return self._cut(str.__str__(value), self._characters)
            if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
                return f"<int: {value.bit_length()} bits>"
            if isinstance(value, BaseException) and not is_bounded(value.args):
                return f"{type(value).__name__}: {_described(value.args, 'too much')}"
            if _entries(value) is not None and not is_bounded(value):
                value, _ = whole(value, self._characters, self._room, self._parts, own=self._own)
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
        return text if text.isascii() or self._measures else text.encode(errors="replace").decode()


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
