"""Measures what `/ws` costs: clients that read a message a second, and the server's processor time.

    python bench/push.py [--clients 1000] [--seconds 20]

Starts a server of its own, without load. The clients are plain sockets in this process, so only the server's own time
counts; it is read from /proc before and after, and the time of an idle server is shown beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import tempfile
import time
from pathlib import Path

from forebay.server.process import ServerProcess, StartFailed

from harness.process import cpu_seconds

START_SECONDS = 20.0
STOP_SECONDS = 30.0


def resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


class Counter:
    """Messages that all clients got: every one begins with the same words."""

    def __init__(self) -> None:
        self.messages = 0
        self.clients = 0


async def connect(port: int, counter: Counter) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"refused: {head!r}")
    counter.clients += 1
    asyncio.get_running_loop().create_task(read(reader, writer, counter))
    return writer


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: Counter) -> None:
    while piece := await reader.read(65536):
        counter.messages += piece.count(b'{"type":"metrics"')
        if b"\x89\x00" in piece:
            # A masked pong without a payload.
            writer.write(b"\x8a\x80\0\0\0\0")
    counter.clients -= 1


async def measure(pid: int, port: int, clients: int, seconds: float) -> None:
    counter = Counter()
    before = cpu_seconds([pid])
    await asyncio.sleep(seconds)
    idle = (cpu_seconds([pid]) - before) / seconds
    memory = resident_mib(pid)
    started = time.perf_counter()
    writers = []
    for first in range(0, clients, 50):
        writers += await asyncio.gather(*(connect(port, counter) for _ in range(min(50, clients - first))))
    connected = time.perf_counter() - started
    await asyncio.sleep(3)
    before, counted, started = cpu_seconds([pid]), counter.messages, time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    used = (cpu_seconds([pid]) - before) / elapsed
    rate = (counter.messages - counted) / elapsed
    print(f"{counter.clients} of {clients} clients (connected in {connected:.1f} s), {rate:.0f} messages/s")
    print(f"processor: {100 * used:.1f} % of a core, idle {100 * idle:.1f} %, so {100 * (used - idle):.1f} % for them")
    print(f"memory: {memory:.0f} MiB before, {resident_mib(pid):.0f} MiB with them")
    for writer in writers:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        settings = {"max_websockets": options.clients}
        server = ServerProcess(Path(directory, "data"), Path(directory, "log"), settings, ("--no-auth",))
        server.spawn()
        try:
            server.await_serving(START_SECONDS)
            port = int(server.url.rpartition(":")[2])
            asyncio.run(measure(server.process.pid, port, options.clients, options.seconds))
        except StartFailed as failed:
            raise SystemExit(str(failed)) from None
        finally:
            server.end(STOP_SECONDS)


if __name__ == "__main__":
    main()
