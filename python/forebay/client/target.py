"""Where a client sends to."""

from __future__ import annotations

import codecs
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

# Looking a name up imports it: in a sender's thread that may be under way at a fork, and then it is never done in the
# child.
codecs.lookup("idna")


@dataclass(frozen=True, slots=True)
class Target:
    """A server. `path` is what its routes are under: empty, unless a proxy serves it below a path of its own."""

    host: str
    port: int
    path: str
    secure: bool
    token: str | None
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, token: str | None, tls: ssl.SSLContext | None = None) -> Target:
        """Raises ValueError for anything but http(s)://host[:port][/path]."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not http://host:port")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise ValueError("the token is not visible ASCII")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        if secure and tls is None:
            tls = ssl.create_default_context()
        return cls(parts.hostname, port, parts.path.rstrip("/"), secure, token, tls)

    @property
    def url(self) -> str:
        return f"http{'s' * self.secure}://{self._host}:{self.port}{self.path}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def connect(self, seconds: float) -> socket.socket:
        """Raises OSError."""
        connected = socket.create_connection((self.host, self.port), seconds)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                return self.tls.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise
        return connected

    def head(self) -> str:
        """The lines that every request has."""
        lines = [f"Host: {self._host}:{self.port}", "Content-Type: application/json"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "".join(f"{line}\r\n" for line in lines)
