"""Which of the process's descriptors a client's connection is. Granian accepts connections and does not say."""

from __future__ import annotations

import os
import socket

Peer = tuple[str, int]


class Descriptors:
    """Looks connections up by their client's address. Many that come at once cost one look at all descriptors."""

    def __init__(self, local: Peer | None = None) -> None:
        """`local` is the address that the clients connected to."""
        self._known: dict[Peer, int] = {}
        self.local = local
        """Without it any connection with the client's address is taken for its own. But the front's connections with
        its clients are this process's as well, and the kernel gives one port to two connections with two addresses."""

    def find(self, client: str) -> socket.socket | None:
        """The server's end of the connection from `client` ("address:port"), as a descriptor of our own; None where
        the system does not tell what a client has taken (see `writer`)."""
        if not hasattr(socket, "TCP_INFO"):
            return None
        host, _, port = client.rpartition(":")
        if not port.isdigit():
            return None
        peer = (host.strip("[]"), int(port))
        found = self._try(self._known.get(peer), peer)
        if found is None:
            self._look()
            found = self._try(self._known.get(peer), peer)
        return found

    def _look(self) -> None:
        self._known = {}
        try:
            numbers = sorted(map(int, os.listdir("/proc/self/fd")))
        except OSError:
            return
        for number in numbers:
            peer = self._peer(number)
            # Of a connection and our own copies of its descriptor any will do.
            if peer is not None:
                self._known[peer] = number

    def _try(self, number: int | None, peer: Peer) -> socket.socket | None:
        """The descriptor, when it is still that connection: numbers are used again."""
        if number is None:
            return None
        try:
            copy = socket.socket(fileno=os.dup(number))
        except OSError:
            return None
        if self._peer(copy.fileno()) == peer:
            return copy
        copy.close()
        return None

    def _peer(self, number: int) -> Peer | None:
        """Who is connected; None for what is no connection with us."""
        try:
            connection = socket.socket(fileno=number)
        except OSError:
            return None
        try:
            if self.local is not None and _address(connection.getsockname()) != self.local:
                return None
            return _address(connection.getpeername())
        except OSError:
            return None
        finally:
            # It belongs to whoever opened it.
            connection.detach()


def _address(name: object) -> Peer | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
