"""The life of a server process."""

import signal
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from support.harness import RunningServer, answer, batch, event, run, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]


def test_what_was_acknowledged_survives_a_kill(server: Start) -> None:
    running = server()
    for number in range(10):
        assert running.drain(batch(event(f"a{number}"), event(f"b{number}", project="other"))).status_code == 202
    running.kill()
    running = server()
    messages = sorted(record["value"]["message"] for record in running.records())
    assert messages == sorted([f"a{n}" for n in range(10)] + [f"b{n}" for n in range(10)])


def test_sigterm_ends_quickly_with_status_0_and_says_so(server: Start) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        running = server()
        with running.client() as idle:
            assert idle.get("/health").status_code == 200
            running.signal(number)
            assert running.wait(10) == 0
        assert [line["event"] for line in running.log_lines()][-2:] == ["stopping", "stopped"]


def test_sigterm_finishes_a_request_under_way(server: Start) -> None:
    running = server()
    body = batch(event("last", project="last"))
    with running.connect() as connection:
        head = b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body[:10])
        with running.client() as client:
            metric = "forebay_http_ingest_requests 1.0"
            wait_for("the request's start", lambda: metric in client.get("/metrics").text)
        running.signal(signal.SIGTERM)
        wait_for("the stop", lambda: any(line["event"] == "stopping" for line in running.log_lines()))
        connection.sendall(body[10:])
        assert answer(connection)[0] == 202
    assert running.wait() == 0
    running = server()
    assert [record["value"]["message"] for record in running.records()] == ["last"]


def test_a_request_that_never_ends_does_not_hold_the_stop(server: Start) -> None:
    running = server(shutdown_timeout_seconds=0.3)
    with running.connect() as connection:
        connection.sendall(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        with running.client() as client:
            wait_for("its start", lambda: "forebay_http_ingest_requests 1.0" in client.get("/metrics").text)
        running.signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert any(line["event"] == "requests were still under way" for line in running.log_lines())


def test_sigterm_under_load_loses_nothing(server: Start) -> None:
    running = server()
    acknowledged: list[str] = []
    refused = threading.Event()

    def send(worker: int) -> None:
        with running.client() as client:
            for number in range(1_000_000):
                name = f"{worker}-{number}"
                try:
                    response = client.post("/v1/drain", content=batch(event(name)))
                except httpx.TransportError:
                    return
                if response.status_code != 202:
                    refused.set()
                    return
                acknowledged.append(name)

    senders = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for sender in senders:
        sender.start()
    wait_for("some acknowledgements", lambda: len(acknowledged) > 200)
    assert running.terminate() == 0
    for sender in senders:
        sender.join()
    assert not refused.is_set()
    running = server()
    stored = [record["value"]["message"] for record in running.records()]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


def test_a_second_server_on_the_directory_is_refused(server: Start) -> None:
    running = server()
    second = run("serve", "--data-dir", str(running.data_dir), "--port", "0", "--no-auth")
    assert second.returncode == 1
    assert "directory_locked" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.drain(batch()).status_code == 202


def test_a_second_server_on_the_port_is_refused(server: Start) -> None:
    running = server()
    port = str(urlsplit(running.url).port)
    second = run("serve", "--data-dir", str(running.data_dir) + "-2", "--port", port, "--no-auth")
    assert second.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


def test_settings_that_are_wrong_end_with_status_2_and_one_line() -> None:
    for flags, environment, message in (
        (("--durability", "none"), {}, "is not one of 'fsync', 'interval', 'memory'"),
        (("--host", "0.0.0.0", "--no-auth"), {}, "insecure"),
        (("--log", "kafka://x"), {}, "comes later"),
        (("--config", "missing.toml"), {}, "cannot read missing.toml"),
        ((), {"FOREBAY_PROT": "1"}, "did you mean 'FOREBAY_PORT'"),
        (("--prot", "1"), {}, "--port"),
    ):
        ended = run("serve", *flags, **environment)
        assert (ended.returncode, message in ended.stderr) == (2, True), ended.stderr
        assert "Traceback" not in ended.stderr


def test_an_ipv6_address(server: Start) -> None:
    if not socket.has_ipv6:
        return
    running = server("--host", "::1")
    assert running.url.startswith("http://[::1]:")
    assert running.drain(batch()).status_code == 202
