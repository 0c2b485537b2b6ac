"""Counts large transactions by user in windows of event time, in plain Python with msgspec: a watermark, late records
dropped by their windows, results sorted. Usage: count.py INPUT OUTPUT RECORDS"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from harness.transactions import THRESHOLD, WINDOW_MS
from harness.turn import Turn


class Transaction(msgspec.Struct):
    userId: str  # noqa: N815 - as the input has it
    amount: float
    at: int


class Result(msgspec.Struct):
    windowStart: int  # noqa: N815
    key: str
    count: int


def count(source: Iterable[bytes], sink: BinaryIO) -> None:
    decode, encode = msgspec.json.Decoder(Transaction).decode, msgspec.json.Encoder().encode_lines
    windows: dict[int, dict[str, int]] = {}
    watermark, closes = 0, 0
    for line in source:
        one = decode(line)
        at = one.at
        if at > watermark:
            watermark = at
            if at >= closes:
                for start in sorted(start for start in windows if start + WINDOW_MS <= at):
                    users = windows.pop(start)
                    sink.write(encode([Result(start, user, users[user]) for user in sorted(users)]))
                closes = at - at % WINDOW_MS + WINDOW_MS
        start = at - at % WINDOW_MS
        if one.amount > THRESHOLD and start + WINDOW_MS > watermark:
            users = windows.setdefault(start, {})
            users[one.userId] = users.get(one.userId, 0) + 1


def main() -> None:
    source, output, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(source, "rb") as file, open(output, "wb") as sink, Turn() as turn:
        count(itertools.islice(file, records), sink)
        sink.flush()
    turn.print(records)


if __name__ == "__main__":
    main()
