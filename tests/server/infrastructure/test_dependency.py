"""What the configuration says of dependencies."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from forebay.errors import ConfigError
from forebay.server.infrastructure.dependency import MAX_DEPENDENCIES, dependencies
from forebay.server.infrastructure.names import Names
from forebay.server.infrastructure.probes.kinds import probe_of
from forebay.server.infrastructure.probes.reply import Probe

WEB: dict[str, Any] = {"name": "Web", "kind": "http", "url": "https://web.internal/live"}
MAIL: dict[str, Any] = {"name": "Mail", "kind": "smtp", "host": "mail.internal"}


def probes(tables: list[dict[str, Any]]) -> list[Probe]:
    return [
        probe_of(f"dependency[{index}]", dependency, address, Names())
        for index, (dependency, address) in enumerate(dependencies(tables))
    ]


def test_defaults_and_addresses() -> None:
    database = {"name": "Database", "kind": "postgresql", "url": "postgresql://ann:s%40e@[::1]/app?sslmode=disable"}
    (web, at_web), (mail, at_mail), (_, at_database) = dependencies([WEB, MAIL, database])
    assert (at_web.host, at_web.port, at_web.tls, at_web.target) == ("web.internal", 443, True, "/live")
    assert (at_mail.host, at_mail.port, at_mail.tls) == ("mail.internal", 25, False)
    assert (at_database.host, at_database.port, at_database.password) == ("::1", 5432, "s@e")
    assert at_database.authority == "[::1]:5432"
    assert (web.interval_seconds, web.timeout_ms, mail.latency_limit_ms) == (10.0, 2000, 500.0)


def test_a_failure_shows_within_the_interval() -> None:
    """One that begins right after a good answer is met by the next probe, which may take all of its time."""
    [(web, _)] = dependencies([WEB | {"interval_seconds": 4, "timeout_ms": 1500}])
    assert web.pause_seconds + web.timeout_ms / 1000 == web.interval_seconds


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"kind": "tcp"}], r"dependency\[0\]: object missing required field `name`; its fields are name, kind, url"),
        ([WEB | {"timout_ms": 1}], r"dependency\[0\]: object contains unknown field `timout_ms`; its fields are"),
        ([WEB, MAIL | {"kind": "imap"}], r"dependency\[1\].kind: invalid enum value 'imap'"),
        ([WEB | {"timeout_ms": "2 s"}], r"dependency\[0\].timeout_ms: expected `int`, got `str`"),
        ([WEB | {"interval_seconds": 0}], r"dependency\[0\].interval_seconds: expected `float` >= 0.2"),
        ([WEB | {"interval_seconds": 3}], r"dependency\[0\].timeout_ms is more than half of its interval_seconds"),
        ([WEB, WEB], r"dependency\[1\].name: 'Web' is the name of another one"),
        ([WEB | {"name": "Log"}], r"dependency\[0\].name: 'Log' is a service of this server itself"),
        ([WEB | {"host": "a"}], r"dependency\[0\]: the kind 'http' has a url, and neither host nor port"),
        ([MAIL | {"url": "smtp://a"}], r"dependency\[0\]: the kind 'smtp' has a host and a port, and no url"),
        ([{"name": "Port", "kind": "tcp", "host": "a"}], r"dependency\[0\]: the kind 'tcp' has a host and a port"),
        ([WEB | {"url": "ftp://a"}], r"dependency\[0\].url is not like http://host:80, https://host:443"),
        ([WEB | {"url": "http://a:99999"}], r"dependency\[0\].url is not like"),
        ([WEB | {"url": "http:///live"}], r"dependency\[0\].url is not like"),
        ([WEB | {"url": "http://a/x y"}], r"dependency\[0\].url has a character that stands in no URL"),
        ([MAIL | {"ca_file": "ca.pem"}], r"dependency\[0\].ca_file is of no use: the connection has no TLS"),
        ([MAIL | {"name": f"m{n}"} for n in range(MAX_DEPENDENCIES + 1)], "there are 101 tables"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tables: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        probes(tables)


@pytest.mark.parametrize(
    "url", ["redis://:sec/ret@h:6379", "redis://:secret@h:port", "redis:secret@h", "amqp://:secret@h"]
)
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        dependencies([{"name": "Redis", "kind": "redis", "url": url}])
    assert "sec" not in str(refused.value)


def test_postgresql_says_which_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    [(dependency, address)] = dependencies([{"name": "db", "kind": "postgresql", "url": "postgresql://h/app"}])
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[postgresql\]'"):
        probe_of("dependency[0]", dependency, address, Names())
