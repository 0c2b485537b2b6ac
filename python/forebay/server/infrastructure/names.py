"""The addresses of host names, without ever waiting for a resolver that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading


class Names:
    """Looks names up in threads of their own. The system's resolver may take half a minute and cannot be ended, so
    nobody else's threads are used; a name has one thread at a time, and it is a daemon, which keeps no process from
    ending. Only the event loop uses this."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The IP addresses of a host, in the order of the system's preference.

        Raises:
            OSError: there is no such name, or no name server answers.
        """
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        asked = self._asked.get(host)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[host] = loop.create_future()
            # Nobody may be waiting any more when it fails.
            asked.add_done_callback(lambda ended: self._ended(host, ended))
            threading.Thread(target=_look_up, args=(host, loop, asked), name="forebay-names", daemon=True).start()
        return await asyncio.shield(asked)

    def _ended(self, host: str, asked: asyncio.Future[list[str]]) -> None:
        del self._asked[host]
        if not asked.cancelled():
            asked.exception()


def _look_up(host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[list[str]]) -> None:
    found: list[str] | OSError
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(row[4][0]) for row in rows))
    except OSError as error:
        found = error
    except UnicodeError as error:
        found = OSError(f"{host!r} is no name of a host: {error}")
    # A closed event loop raises RuntimeError: the server has stopped.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if answer.done():
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)
