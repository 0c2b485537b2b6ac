"""Addresses of Redis, and passwords in them."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from forebay.cache.redis.address import secrets_in, shown_url
from forebay.cache.redis.connection import Connection
from forebay.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:secret-word@cache:6379/0", "redis://***@cache:6379/0"),
        ("rediss://user:secret-word@cache/1?ssl_cert_reqs=none", "rediss://***@cache/1"),
        ("redis://user:p%40ss%2Fword@[::1]:6379", "redis://***@[::1]:6379"),
        ("unix:///run/redis.sock?password=secret-word&db=1", "unix:///run/redis.sock"),
        ("redis://cache?password=secret-word", "redis://cache"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert Connection(url).shown == shown


def test_passwords_are_known_as_they_stand_and_as_they_are_sent() -> None:
    assert secrets_in("redis://user:p%40ss%2Fword@cache") == ["p%40ss%2Fword", "p@ss/word"]
    assert secrets_in("unix:///run/redis.sock?password=secret-word") == ["secret-word"]
    assert secrets_in("redis://cache") == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache",
        "cache:6379",
        "http://cache",
        "redis://",
        "redis://:6379",
        "unix://",
        "redis://cache:port",
        "redis://[",
    ],
)
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="cache is .*, which is not like redis://host:6379/0"):
        Connection(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret-word@cache",
        "redis://:secret-word@cache:port",
        "//u:secret-word@cache",
        "redis://cache:99999?password=secret-word",
        "redis:///0?password=secret-word",
        "redis://user:12/secret-word@cache",
    ],
)
def test_a_wrong_address_is_not_shown_when_it_may_have_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Connection(url)
    assert "secret-word" not in str(refused.value)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="redis://cache, whose options"):
        Connection("redis://cache?socket_timeout=soon")
    with pytest.raises(ConfigError, match="redis://cache, whose options"):
        Connection("redis://cache?bogus=1")


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pip install redis") as refused:
        Connection("redis://:secret-word@cache")
    assert "secret-word" not in str(refused.value)


def test_options_of_the_address_do_not_lift_the_bounds() -> None:
    options = "socket_timeout=600&socket_connect_timeout=600&decode_responses=true"
    arguments = Connection(f"redis://cache?{options}")._client.connection_pool.connection_kwargs
    assert arguments["socket_timeout"] <= 2
    assert arguments["socket_connect_timeout"] <= 2
    assert arguments["decode_responses"] is False
