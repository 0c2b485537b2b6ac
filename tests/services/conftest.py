"""Redis and PostgreSQL from Debian's packages. Tests are skipped where it cannot be had, unless it is required."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support import postgresql
from support.postgresql import PostgresServer
from support.redis import PROGRAM, RedisServer, find_or_install, installed

T = TypeVar("T")

REQUIRED = "SERVICES"
"""Set to `required`, a service that is missing is a failure: in continuous integration, which installs it."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs tests that are coroutines, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def _found(name: str, found: T | None) -> T:
    if found is None:
        what = f"there is no {name}, and it cannot be installed: that takes root and apt-get"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{what}, and {REQUIRED} is 'required'")
        pytest.skip(what)
    return found


@pytest.fixture(scope="session")
def program() -> str:
    return _found(PROGRAM, find_or_install())


@pytest.fixture(scope="session")
def postgresql_programs() -> Path:
    return _found(postgresql.PROGRAM, installed(postgresql.PACKAGE, postgresql.find))


@pytest.fixture
def postgresql_server(postgresql_programs: Path) -> Iterator[PostgresServer]:
    """One that runs."""
    server = PostgresServer(postgresql_programs)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new_redis(program: str, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers: `new_redis("name", setting="value")`; all are killed after the test."""
    started: list[RedisServer] = []

    def start(name: str = "redis", **settings: Any) -> RedisServer:
        server = RedisServer(program, tmp_path / name, **settings)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def redis_server(new_redis: Callable[..., RedisServer]) -> RedisServer:
    """One that is empty."""
    return new_redis()
