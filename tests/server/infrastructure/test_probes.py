"""Each probe against servers that answer, refuse, talk nonsense, stop in the middle and say nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from forebay.errors import ConfigError
from forebay.server.infrastructure.address import Address
from forebay.server.infrastructure.connection import LINE_BYTES
from forebay.server.infrastructure.dependency import Kind, dependencies
from forebay.server.infrastructure.failure import reason_of
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.kinds import probe_of
from support.redis import free_port
from support.talker import Talk, Talker, answering, saying

Start = Callable[[Talk | None], Talker]

TIMEOUT_MS = 60_000
"""For what answers: no measure, only a bound."""
SHORT_MS = 200
"""For what never answers."""

VERSIONS = bytes.fromhex("0000001600000001" + "0000" + "00000002" + "00030000000d" + "001200000004")
METADATA = bytes.fromhex(
    # As Apache Kafka 4.3.1 sends it: one broker, 127.0.0.1:29092, which is the controller.
    "0000002500000002000000010000000100093132372e302e302e31000071a4ffff0000000100000000"
)


def asked(kind: Kind, timeout_ms: int = TIMEOUT_MS, **where: Any) -> str | None:
    """Why a probe failed; None when it did not."""
    [(dependency, address)] = dependencies([{"name": "x", "kind": kind, **where}])

    async def ask() -> str | None:
        probe = probe_of("dependency[0]", dependency, address, Names())
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await probe()
        except Exception as error:
            return reason_of(error, timeout_ms)
        return None

    return asyncio.run(ask())


def at(server: Talker) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port}


def url(server: Talker, scheme: str = "http", before: str = "", path: str = "/") -> dict[str, Any]:
    return {"url": f"{scheme}://{before}127.0.0.1:{server.port}{path}"}


def test_http_is_a_get_of_the_url(talker: Start) -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nServer: x\r\n\r\n")

    server = talker(talk)
    assert asked("http", **url(server, before="ann:s%40cret@", path="/live?deep=1")) is None
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /live?deep=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "Authorization: Basic YW5uOnNAY3JldA==" in lines


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "it answered 503 Service Unavailable"),
        (b"HTTP/1.1 404\r\n\r\n", "it answered 404"),
        (b"220 mail.example ESMTP\r\n", "it answered no HTTP: 220 mail.example ESMTP"),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", "the connection was closed in the middle of the answer"),
        (b"x" * (LINE_BYTES + 1), f"the answer has a line of more than {LINE_BYTES} bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300, "the answer has more than 200 lines before its body"),
    ],
)
def test_http_that_is_no_good(talker: Start, said: bytes, reason: str) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    assert asked("http", **url(talker(talk))) == reason


def test_http_that_stalls_in_the_middle_of_its_head(talker: Start) -> None:
    server = talker(answering(b"HTTP/1.1 200 OK\r\n"))
    assert asked("http", SHORT_MS, **url(server)) == f"no answer within {SHORT_MS} ms"


def test_https_trusts_the_authority_of_the_configuration_alone(talker: Start, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *options]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65_536)
            secured.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    server = talker(talk)
    assert asked("http", **url(server, "https"), ca_file=str(certificate)) is None
    refused = asked("http", **url(server, "https"))
    assert refused is not None
    assert refused.startswith("no TLS: ")
    with pytest.raises(ConfigError, match="ca_file .* cannot be used"):
        asked("http", **url(server, "https"), ca_file=str(tmp_path / "nothing.pem"))


def test_tcp_is_a_connection(talker: Start) -> None:
    server = talker(None)
    assert asked("tcp", **at(server)) is None
    server.close()
    assert asked("tcp", **at(server)) == "the connection failed: Connection refused"


def test_a_name_that_is_not_known() -> None:
    reason = asked("tcp", host="nothing.invalid", port=1)
    assert reason is not None
    assert reason.startswith("its name is not known")


def test_a_name_that_is_looked_up_for_ever_costs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    names, looked_up = Names(), []

    def hang(host: str, *_arguments: object, **_named: object) -> list[object]:
        looked_up.append(host)
        ended.wait()
        return []

    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def ask() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await names.addresses("db.internal")

    try:
        asyncio.run(ask())
    finally:
        ended.set()
    assert looked_up == ["db.internal"]


def test_a_mail_server() -> None:
    port = free_port()
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        assert asked("smtp", host="127.0.0.1", port=port) is None
    finally:
        controller.stop()
    assert asked("smtp", host="127.0.0.1", port=port) == "the connection failed: Connection refused"


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (saying(b"220-mail.example\r\n220 ready\r\n", b"221 bye\r\n"), None),
        (saying(b"421 4.3.2 too \x1b[31mbusy\r\n"), "the greeting is '421 4.3.2 too [31mbusy'"),
        (saying(b"220 ready\r\n", b"500 what?\r\n"), "QUIT was answered with '500 what?'"),
        (saying(b"hello\r\n"), "the greeting is 'hello'"),
        (saying(b"220-\r\n" * 60), "the greeting is more than 50 lines"),
    ],
)
def test_greetings(talker: Start, talk: Talk, reason: str | None) -> None:
    assert asked("smtp", **at(talker(talk))) == reason


@pytest.mark.parametrize("kind", ["smtp", "kafka"])
def test_a_port_that_says_nothing(talker: Start, kind: Kind) -> None:
    assert asked(kind, SHORT_MS, **at(talker(None))) == f"no answer within {SHORT_MS} ms"


def test_redis_is_asked_with_its_password(talker: Start) -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(connection.recv(65_536))
        connection.sendall(b"+OK\r\n")
        heard.append(connection.recv(65_536))
        connection.sendall(b"+PONG\r\n")

    assert asked("redis", **url(talker(talk), "redis", "ann:s%2Fe@")) is None
    assert heard == [b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$3\r\ns/e\r\n", b"*1\r\n$4\r\nPING\r\n"]


def test_redis_that_loads(talker: Start) -> None:
    server = talker(answering(b"-LOADING Redis is loading the dataset in memory\r\n"))
    assert (
        asked("redis", **url(server, "redis"))
        == "PING was answered with '-LOADING Redis is loading the dataset in memory'"
    )


def test_kafka(talker: Start) -> None:
    assert asked("kafka", **at(talker(answering(VERSIONS, METADATA)))) is None


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "it answered no Kafka: an answer of 1213486160 bytes"),
        ([bytes.fromhex("0000000400000009")], "it answered no Kafka: request 1 was answered as 9"),
        ([bytes.fromhex("0000000400000001")], "it answered no Kafka: its versions are cut short"),
        (
            [bytes.fromhex("0000000a00000001" + "0000" + "00000000")],
            "it does not take version 1 of the request for metadata",
        ),
        ([bytes.fromhex("0000000a00000001" + "0023" + "00000000")], "its versions are refused with the error 35"),
        ([VERSIONS, METADATA[:-12].replace(b"\x25", b"\x19", 1)], "it answered no Kafka: its metadata is cut short"),
        (
            [VERSIONS, bytes.fromhex("0000000c00000002" + "00000000" + "ffffffff")],
            "the cluster names no broker that is alive",
        ),
        ([VERSIONS, METADATA[:-8] + bytes.fromhex("ffffffff00000000")], "the cluster has no controller"),
    ],
)
def test_kafka_that_is_no_good(talker: Start, answers: list[bytes], reason: str) -> None:
    assert asked("kafka", **at(talker(answering(*answers)))) == reason


def test_an_address_does_not_show_its_password() -> None:
    assert "secret" not in repr(Address("db", 5432, password="secret"))
