"""Values that an application may hand over: they hold themselves, or are endless, huge, rude or strange."""

from __future__ import annotations

import enum
import itertools
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

SHARED_LEVELS = 40
"""Each list twice in the next: 2 to this power, which no machine writes."""


@dataclass
class Node:
    name: str = "node"
    next: Any = None
    others: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Key:
    """Hashed by what it is: the hash of a tuple takes as long as writing it."""

    parts: list[Any]


class Record(msgspec.Struct):
    inner: Any = None


class Colour(enum.Enum):
    RED = "red"


class Level(enum.StrEnum):
    LOUD = "loud"


class Rude:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Recursive:
    def __repr__(self) -> str:
        return f"<{self!r}>"


class Wordy:
    def __repr__(self) -> str:
        return "w" * 5_000_000


class Model:
    """Has the methods by which models of pydantic, numpy and the like are known."""

    def __init__(self) -> None:
        self.self = self

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = object.__hash__


class Endless(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        return Endless()

    def __iter__(self) -> Iterator[Any]:
        return itertools.count()

    def __len__(self) -> int:
        return 1


class Broken(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        raise OSError

    def __iter__(self) -> Iterator[Any]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


def cyclic_list() -> Any:
    made: list[Any] = []
    made += [made, made, {"again": made}]
    return made


def cyclic_dict() -> Any:
    made: dict[Any, Any] = {}
    made["a"] = made["b"] = [made]
    return made


def cyclic_dataclass() -> Any:
    made = Node()
    made.next, made.others = made, [made, made]
    return made


def cyclic_struct() -> Any:
    made = Record()
    made.inner = [made, made]
    return made


def cyclic_namespace() -> Any:
    made = types.SimpleNamespace()
    made.a = made.b = {"x": made}
    return made


def doubled(wrap: Callable[[Any], Any]) -> Any:
    made: Any = "x"
    for _ in range(SHARED_LEVELS):
        made = wrap(made)
    return made


VALUES: dict[str, Callable[[], Any]] = {
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "cyclic dataclass": cyclic_dataclass,
    "cyclic struct": cyclic_struct,
    "cyclic namespace": cyclic_namespace,
    "shared lists": lambda: doubled(lambda inner: [inner, inner]),
    "shared tuples": lambda: doubled(lambda inner: (inner, inner)),
    "shared dicts": lambda: doubled(lambda inner: {"a": inner, "b": inner}),
    "shared dataclasses": lambda: doubled(lambda inner: Node(next=inner, others=[inner])),
    "shared deques": lambda: doubled(lambda inner: deque([inner, inner])),
    "shared namespaces": lambda: doubled(lambda inner: types.SimpleNamespace(a=inner, b=inner)),
    "shared keys": lambda: {Key([doubled(lambda inner: [inner, inner])]): 1},
    "shared views": lambda: doubled(lambda inner: {"a": inner, "b": inner}.values()),
    "shared in an exception": lambda: ValueError(doubled(lambda inner: [inner, inner])),
    "one text often": lambda: ["x" * 1_000_000] * 10_000,
    "one bytes often": lambda: [b"x" * 1_000_000] * 10_000,
    "deep": lambda: doubled(lambda inner: [[[[[[inner]]]]]]),
    "endless mapping": Endless,
    "broken mapping": Broken,
    "rude": Rude,
    "rude list": lambda: [Rude(), {"a": Rude()}],
    "recursive": Recursive,
    "wordy": Wordy,
    "many wordy": lambda: [Wordy() for _ in range(3)],
    "model": Model,
    "huge text": lambda: "\x01" * 3_000_000,
    "huge bytes": lambda: b"\x00" * 3_000_000,
    "huge integer": lambda: 1 << 4_000_000,
    "many": lambda: list(range(1_000_000)),
    "odd keys": lambda: {1: 1, None: 2, (1, 2): 3, b"x": 4, Rude(): 5, "\ud800": 6, 2.5: 7},
    "bound method": lambda: [len, Rude, Wordy().__repr__, ...],
}
