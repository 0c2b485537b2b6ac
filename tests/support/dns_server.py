"""A name server on loopback, over UDP, that does what a test says."""

from __future__ import annotations

import contextlib
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

TEST_ENTRY = "2.0.0.127"
TEST_ENTRY_6 = "2.0.0.0.0.0.f.7.f.f.f.f." + "0." * 20
UNLISTED = "1.0.0.127"


class DnsServer:
    """Answers for block lists.

    Attributes:
        lists: by zone, the reversed addresses that are listed with their answers. A zone that is missing is refused.
        silent: zones, and single names, whose queries are never answered.
        failing: zones that are answered with SERVFAIL.
        always: by zone, one answer to every query: a list that lists anything, or refuses its resolver.
        ttl: of every answer, in seconds.
        asked: every name that was asked for.
    """

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, str]] = {}
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.always: dict[str, str] = {}
        self.ttl = 0
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def zone(self, name: str, **entries: str) -> None:
        """A list in good order, for IPv4 and IPv6."""
        self.lists[name] = {TEST_ENTRY: "127.0.0.2", TEST_ENTRY_6.rstrip("."): "127.0.0.2", **entries}

    def close(self) -> None:
        self._closing.set()
        # A datagram to itself ends the wait for one.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(4096)
            if self._closing.is_set():
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._socket.sendto(answer.to_wire(), sender)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        name = query.question[0].name.to_text().rstrip(".")
        self.asked.append(name)
        zones = {*self.lists, *self.silent, *self.failing, *self.always}
        # A single name ends with no other one, so it is taken for no zone.
        zone = next((zone for zone in zones if name.endswith(f".{zone}")), "")
        if zone in self.silent or name in self.silent:
            return None
        answer = dns.message.make_response(query)
        address = self.always.get(zone) or self.lists.get(zone, {}).get(name.removesuffix(f".{zone}"))
        if zone in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not zone:
            answer.set_rcode(dns.rcode.REFUSED)
        elif address is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = f"ns.{zone}. root.{zone}. 1 3600 600 86400 {self.ttl}"
            answer.authority.append(dns.rrset.from_text(f"{zone}.", self.ttl, "IN", "SOA", soa))
        else:
            answer.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "A", address))
        return answer
