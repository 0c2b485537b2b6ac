"""Where loggers hand their events over."""

from __future__ import annotations

from asyncio.events import _get_running_loop  # for those who look for a loop: it does not raise when there is none

from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.encoding import Fields, TimestampLike
from forebay.client.own_thread import is_own_thread


class LogSink:
    """To a client's queue as `Client.log` does it, with two exceptions: what a client's own threads log is left out,
    since it would go round; and on a thread that runs an event loop nothing waits for room, since a logger cannot
    await: with the policy `block` an event that finds the queue full is then dropped, and counted.

    Raises:
        TypeError: what is given is no client.
    """

    def __init__(self, client: Client | AsyncClient) -> None:
        if isinstance(client, AsyncClient):
            client = client._client
        if not isinstance(client, Client):
            raise TypeError(f"a Client or an AsyncClient is needed, not {type(client).__name__}")
        self._queue = client._queue
        self._losses = client._losses
        self._endpoint = client._drain
        self._encode = client._encode_log

    @property
    def is_open(self) -> bool:
        """Tells whether what this thread logs is taken."""
        return not is_own_thread()

    def log(self, message: str, level: str, timestamp: TimestampLike | None, metadata: Fields | None) -> None:
        _, text = self._encode(message, level, timestamp=timestamp, metadata=metadata)
        kept = self._queue.put(self._endpoint, text, _get_running_loop() is None)
        if kept is None:
            self._queue.give_up(in_vain=False)
        if not kept:
            self._losses.notice()
