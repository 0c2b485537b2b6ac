"""The routes of the infrastructure over HTTP, with dependencies that answer, hang and are gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.dns_server import DnsServer
from support.harness import RunningServer, batch, run, wait_for
from support.redis import free_port
from support.talker import Talker, answering

HEALTH = "/api/v1/platform/system/infrastructure/health"
REPUTATION = "/api/v1/platform/system/infrastructure/ip-reputation"

Start = Callable[..., RunningServer]

CONFIGURATION = """
[[dependency]]
name = "Web"
kind = "http"
url = "http://ann:secret@127.0.0.1:{web}/live"
interval_seconds = 1.0
timeout_ms = 500
latency_limit_ms = 60_000

[[dependency]]
name = "SMTP Service"
kind = "smtp"
host = "127.0.0.1"
port = {mail}
interval_seconds = 1.0
timeout_ms = 300
queue = "email-sending"

[[dependency]]
name = "Search"
kind = "tcp"
host = "127.0.0.1"
port = {gone}
interval_seconds = 1.0
timeout_ms = 300

[[sending_address]]
ip_address = "203.0.113.12"
provider = "AWS"

[[sending_address]]
ip_address = "2001:db8::12"
provider = "SendGrid"

[reputation]
zones = [{{ name = "spamhaus", zone = "zen.test" }}]
nameservers = ["127.0.0.1:{dns}"]
interval_seconds = 1
timeout_ms = 60_000
stream = "mails"
"""


@pytest.fixture
def hanging() -> Iterator[Talker]:
    server = Talker(lambda connection: server.silent(connection))
    yield server
    server.close()


@pytest.fixture
def web() -> Iterator[Talker]:
    server = Talker(answering(b"HTTP/1.1 200 OK\r\n\r\n"))
    yield server
    server.close()


@pytest.fixture
def name_server() -> Iterator[DnsServer]:
    server = DnsServer()
    server.zone("zen.test", **{"12.113.0.203": "127.0.0.2"})
    yield server
    server.close()


@pytest.fixture
def running(server: Start, tmp_path: Path, web: Talker, hanging: Talker, name_server: DnsServer) -> RunningServer:
    file = tmp_path / "forebay.toml"
    ports = {"web": web.port, "mail": hanging.port, "gone": free_port(), "dns": name_server.port}
    file.write_text(CONFIGURATION.format(**ports))
    return server("--config", str(file))


def services(running: RunningServer) -> dict[str, dict[str, Any]]:
    with running.client() as client:
        answer = client.get(HEALTH).raise_for_status().json()
    assert answer["success"] is True
    return {each["name"]: each for each in answer["data"]["services"]}


def addresses(running: RunningServer) -> dict[str, dict[str, Any]]:
    with running.client() as client:
        answer = client.get(REPUTATION).raise_for_status().json()
    return {each["ip_address"]: each for each in answer["data"]["ips"]}


def test_every_service_is_told_by_what_it_does(running: RunningServer) -> None:
    running.drain(batch()).raise_for_status()
    queue = "/api/v1/platform/system/queues/queue:email-sending:high/jobs"
    for _ in range(3):
        running.post(queue, {"payload": 1}).raise_for_status()
    running.post("/api/v1/platform/system/queues/email-sending/jobs", {"payload": 1}).raise_for_status()

    def is_known() -> bool:
        known = services(running)
        return (
            all(each["checked_at"] for each in known.values())
            and known["API Server"]["response_time_ms"]["avg"] > 0
            and known["SMTP Service"]["queue_backlog"] == 4
        )

    wait_for("all services are looked at", is_known)
    known = services(running)
    assert list(known) == ["API Server", "Log", "Cache", "Web", "SMTP Service", "Search"]
    assert {name: known[name]["status"] for name in ("Web", "SMTP Service", "Search", "Cache")} == {
        "Web": "healthy",
        "SMTP Service": "down",
        "Search": "down",
        "Cache": "healthy",
    }
    assert known["SMTP Service"]["reason"] == "no answer within 300 ms"
    assert known["Search"]["reason"] == "the connection failed: Connection refused"
    api = known["API Server"]
    assert 0 < api["response_time_ms"]["p95"] <= api["response_time_ms"]["p99"]
    assert api["error_rate_percent"] == 0
    assert known["Log"]["mode"] == "running"
    assert "secret" not in json.dumps(known)


def test_what_changes_shows(running: RunningServer, web: Talker, hanging: Talker) -> None:
    wait_for("the first probes", lambda: all(each["checked_at"] for each in services(running).values()))
    web.close()
    hanging.talk = lambda connection: connection.sendall(b"220 ready\r\n221 bye\r\n")
    wait_for("a dependency that is gone", lambda: services(running)["Web"]["status"] == "down")
    # It still has too many errors, and answers.
    wait_for("one that is back", lambda: services(running)["SMTP Service"]["status"] == "degraded")
    assert "% of its last probes failed" in services(running)["SMTP Service"]["reason"]


def test_addresses_are_judged(running: RunningServer, name_server: DnsServer) -> None:
    running.post("/api/v1/streams", {"name": "mails"}).raise_for_status()
    wait_for("the first look-ups", lambda: all(each["checked_at"] for each in addresses(running).values()))
    listed, other = addresses(running).values()
    assert listed | {"checked_at": "", "errors": []} == {
        "ip_address": "203.0.113.12",
        "provider": "AWS",
        "reputation_score": 75,
        "blacklists": ["spamhaus"],
        "daily_volume": 0,
        "status": "critical",
        "checked_at": "",
        "errors": [],
    }
    assert (other["status"], other["blacklists"], other["reputation_score"]) == ("good", [], 100)
    del name_server.lists["zen.test"]["12.113.0.203"]
    wait_for("an address that is not listed any more", lambda: addresses(running)["203.0.113.12"]["status"] == "good")
    name_server.always["zen.test"] = "127.255.255.254"
    wait_for(
        "a list that refuses", lambda: any("127.255.255.254" in e for e in addresses(running)["2001:db8::12"]["errors"])
    )
    wait_for("the stream is there", lambda: "volume: " not in str(addresses(running)))


def test_who_is_limited_to_projects_sees_neither(authenticated_server: RunningServer) -> None:
    made = run(
        "token",
        "create",
        "--data-dir",
        authenticated_server.data_dir,
        "--name",
        "one",
        "--role",
        "ops",
        "--project",
        "a",
    )
    assert made.returncode == 0, made.stderr
    headers = {"authorization": made.stdout.split()[0]}

    def refused(path: str) -> httpx.Response:
        with authenticated_server.client() as client:
            return client.get(path, headers=headers)

    wait_for("the token is known", lambda: refused(HEALTH).status_code != 401)
    for path in (HEALTH, REPUTATION):
        answer = refused(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[dependency]]\nname = "x"\nkind = "imap"\n', "dependency[0].kind: invalid enum value 'imap'"),
        ('[[sending_address]]\nip_address = "x"\n', "sending_address[0].ip_address: 'x' is no IP address"),
        ('[reputation]\nzones = "x"\n', "reputation.zones: expected `array`, got `str`"),
        ('[dependency]\nname = "x"\n', "write [[dependency]]"),
        ("[[reputation]]\nzones = []\n", "which is not a table"),
    ],
)
def test_a_wrong_configuration_keeps_the_server_from_starting(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "forebay.toml"
    file.write_text(text)
    ended = run("serve", "--no-auth", "--port", 0, "--data-dir", tmp_path / "data", "--config", file)
    assert ended.returncode != 0
    assert message in ended.stderr
