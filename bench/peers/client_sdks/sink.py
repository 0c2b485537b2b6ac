"""Answers 200 to every POST and forgets it: what is measured is the sender. Usage: sink.py PORT

forebay's client takes nothing for an acknowledgement that has no `Forebay-Durability`.
"""

from __future__ import annotations

import asyncio
import sys


class Sink(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, as all of the senders use it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.held = bytearray()
        self.wanted = 0

    def data_received(self, data: bytes) -> None:
        if self.wanted:
            # Bodies are counted, not kept.
            some = min(self.wanted, len(data))
            self.wanted -= some
            if not self.wanted:
                self.answer()
            data = data[some:]
        self.held += data
        while not self.wanted and (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.held[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            have = min(length, len(self.held) - end - 4)
            del self.held[: end + 4 + have]
            self.wanted = length - have
            if not self.wanted:
                self.answer()

    def answer(self) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nforebay-durability: none\r\n"
            b'content-length: 15\r\n\r\n{"status":"ok"}'
        )


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
