"""Lines of a file or a pipe, read so that another thread can end the wait for the next one."""

from __future__ import annotations

import os
import select
import threading

CHUNK_BYTES = 1 << 20
POLL_MILLISECONDS = 100


class Source:
    """The lines of a descriptor."""

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._descriptor = descriptor
        self._stop = stop
        self.position = 0
        """Bytes of the lines that were read."""
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._held = b""
        self._at = 0
        self._ended = False

    def readline(self, limit: int) -> bytes:
        """The next line with its end, at most `limit` bytes of it; empty at the end of the input, and once stopped."""
        pieces: list[bytes] = []
        size = 0
        while size < limit:
            if self._at == len(self._held) and not self._fill():
                break
            end = self._held.find(b"\n", self._at, self._at + limit - size) + 1
            piece = self._held[self._at : end or self._at + limit - size]
            self._at += len(piece)
            size += len(piece)
            pieces.append(piece)
            if end:
                break
        self.position += size
        # What was read of a line when the run was stopped counts as not read.
        return b"" if self._stop.is_set() else b"".join(pieces)

    def _fill(self) -> bool:
        while not self._ended and not self._stop.is_set():
            if self._poll.poll(POLL_MILLISECONDS):
                self._held, self._at = os.read(self._descriptor, CHUNK_BYTES), 0
                self._ended = not self._held
                return not self._ended
        return False
