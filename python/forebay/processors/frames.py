"""Frames of bytes over standard input and output."""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO, Self

_LENGTH = struct.Struct("<I")


class Frames:
    """Frames, each a length as little-endian u32 and so many bytes."""

    def __init__(self, received: BinaryIO, sent: BinaryIO) -> None:
        self._received = received
        self._sent = sent

    @classmethod
    def taken(cls) -> Self:
        """Takes standard input and output for frames alone: from here on what is printed goes to standard error, and
        what is read is empty."""
        # Copies are not inherited, so that a process that a function starts does not hold a pipe open.
        frames = cls(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        if hasattr(sys.stdout, "reconfigure"):
            # A process that is killed loses what it has not written yet.
            sys.stdout.reconfigure(line_buffering=True)
        return frames

    @property
    def input(self) -> int:
        """The descriptor that frames come from."""
        return self._received.fileno()

    def receive(self) -> bytes | None:
        """Returns the next frame; None at the end, also when that is in the middle of one."""
        head = self._received.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        body = self._received.read(length)
        return body if len(body) == length else None

    def send(self, body: bytes) -> None:
        """Sends a frame.

        Raises:
            BrokenPipeError: nobody receives any more.
        """
        self._sent.write(_LENGTH.pack(len(body)))
        self._sent.write(body)
        self._sent.flush()
