"""The position of a tail, which is the id of its events."""

from __future__ import annotations

import re

from forebay.errors import InvalidRequest
from forebay.server.http.request import shown

Position = tuple[int, list[int]]
"""The stream's identity, and the next offset to read in each partition."""

MAX_ID_CHARACTERS = 32 << 10
"""The longest id: an offset of 20 digits in each of 1024 partitions fits."""

ID = r"([0-9]{1,10}):([0-9]{1,19}(?:\.[0-9]{1,19})*)"
"""The regular expression of an id: the stream's identity and the offsets."""

_ID = re.compile(ID)


def written(position: Position) -> str:
    stream, offsets = position
    return f"{stream}:{'.'.join(map(str, offsets))}"


def parse(text: str, sent_as: str) -> Position:
    """The position that an event's id stands for. The header or parameter `sent_as` brought it.

    Raises:
        InvalidRequest: the text is no id of an event.
    """
    found = _ID.fullmatch(text.strip()) if len(text) <= MAX_ID_CHARACTERS else None
    if found is None:
        raise InvalidRequest(f"{sent_as} is {shown(text)}, which is not the id of an event of a tail")
    stream, offsets = int(found[1]), list(map(int, found[2].split(".")))
    if stream >= 1 << 32 or any(offset >= 1 << 63 for offset in offsets):
        raise InvalidRequest(f"{sent_as} is {shown(text)}, which is not the id of an event of a tail")
    return stream, offsets
