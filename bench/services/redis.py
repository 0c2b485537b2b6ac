"""One redis-server on loopback, which saves nothing."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from harness.cache import need
from harness.process import Process, accepts
from harness.server import Launch

ANSWER_LIMIT_S = 30.0


def redis_server() -> str:
    return need("redis-server", "the cache in Redis")


@dataclass
class RedisServer:
    """A server of ``launch``, on its core."""

    launch: Launch
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Process:
        directory = self.launch.directory / "redis"
        directory.mkdir()
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(directory), "save": "", "appendonly": "no"}
        command = [redis_server(), *(part for name, value in options.items() for part in (f"--{name}", value))]
        process = self.launch.run(command)
        process.wait_until(lambda: accepts(self.port))
        return process

    def commands(self) -> int:
        """How many commands it has processed since its start, those of scripts too, and not this question."""
        return int(self._info("stats")["total_commands_processed"])

    def holds_anything(self) -> bool:
        return "db0" in self._info("keyspace")

    def _info(self, section: str) -> dict[str, str]:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_LIMIT_S) as client,
            client.makefile("rb") as answer,
        ):
            client.sendall(f"INFO {section}\r\n".encode())
            # A bulk string: its length, and so many bytes.
            text = answer.read(int(answer.readline()[1:])).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
