"""Servers for probes: each connection is one call of a function, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Talk = Callable[[socket.socket], None]


class Talker:
    """Listens on a free port of loopback until it is closed. What `talk` does not close is closed after it."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.talk(connection)

    def silent(self, _connection: socket.socket) -> None:
        """Takes the connection and says nothing."""
        self.ended.wait()

    def close(self) -> None:
        """From then on connections are refused."""
        self.ended.set()
        # Closing alone would leave the thread in its accept, and the port open with it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def saying(*parts: bytes) -> Talk:
    """Says the first part at once, and each further one after it has heard something."""

    def talk(connection: socket.socket) -> None:
        for index, part in enumerate(parts):
            if index and not connection.recv(65_536):
                return
            connection.sendall(part)
        connection.recv(65_536)

    return talk


def answering(*parts: bytes) -> Talk:
    """Says each part after it has heard something."""
    return saying(b"", *parts)
