"""Throw-away logs and servers for your own tests, as pytest fixtures.

Say so in the `conftest.py` of the tests that want them; other test runs do not load forebay:

    pytest_plugins = ["forebay.testing"]

    def test_in_process(forebay_engine):
        forebay_engine.create_stream("orders")
        forebay_engine.append("orders", {"id": 1})
        assert list(forebay_engine.read("orders", 0)) == [{"id": 1}]

    def test_over_http(forebay_server):
        response = httpx.get(f"{forebay_server.url}/api/v1/streams", headers=forebay_server.headers)
        assert response.status_code == 200

Both live in `tmp_path` and are new for each test. Redefine `forebay_settings` to set what `forebay serve` and
`forebay.open` take. A server for several tests is `serving` in a fixture of your own with a wider scope:

    @pytest.fixture(scope="session")
    def server(tmp_path_factory):
        with forebay.testing.serving(tmp_path_factory.mktemp("forebay")) as server:
            yield server
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forebay.embedded.log import Log
from forebay.embedded.log import open as open_log
from forebay.embedded.options import ENGINE_OPTIONS
from forebay.server.http.tokens import FIRST_TOKEN_FILE_NAME
from forebay.server.process import ServerProcess

START_SECONDS = 30.0
"""Bounds a start, which takes half a second on an idle machine."""

STOP_SECONDS = 30.0
"""How long a server may take to finish its requests; then it is killed."""

SMALL: Mapping[str, object] = {"durability": "memory", "ring_bytes": 16 << 20, "journal_file_bytes": 1 << 20}
"""Settings of tests: nothing waits for the disk, since a test's log need not survive a crash of the machine, and a
server takes little memory and disk."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: `http://127.0.0.1:<port>`, without a slash at the end.
        token: the secret of a token with every role and all projects.
        data_dir: its data directory.
        process: the server's process, which a test may stop or kill.
    """

    url: str
    token: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an authenticated request."""
        return {"Authorization": f"Bearer {self.token}"}


@contextlib.contextmanager
def serving(directory: Path, **settings: object) -> Iterator[Server]:
    """A server in a process of its own, on a free port, with its data in `directory`/data and its log beside it.
    Stopped at the end of the block, its data is left.

    Args:
        settings: settings of `forebay serve`; `SMALL` has the defaults. `FOREBAY_*` of the environment are ignored.

    Raises:
        RuntimeError: the server did not start; the message has the end of its log.
    """
    data_dir = directory / "data"
    chosen = {**SMALL, **settings, "host": "127.0.0.1"}
    server = ServerProcess(data_dir, directory / "server.log", chosen)
    server.spawn()
    try:
        server.await_serving(START_SECONDS)
        token = data_dir / FIRST_TOKEN_FILE_NAME
        yield Server(server.url, token.read_text().strip() if token.exists() else "", data_dir, server.process)
    finally:
        server.end(STOP_SECONDS)


@pytest.fixture
def forebay_settings() -> dict[str, object]:
    """Settings of the other two fixtures; redefine it to set some. Settings that `forebay.open` does not take apply to
    the server only."""
    return {}


@pytest.fixture
def forebay_engine(tmp_path: Path, forebay_settings: dict[str, object]) -> Iterator[Log]:
    """An open log of the test's own, as `forebay.open` gives it."""
    options: dict[str, Any] = {
        name: value for name, value in {**SMALL, **forebay_settings}.items() if name in ENGINE_OPTIONS
    }
    with open_log(tmp_path / "forebay-engine", **options) as log:
        yield log


@pytest.fixture
def forebay_server(tmp_path: Path, forebay_settings: dict[str, object]) -> Iterator[Server]:
    """A running server of the test's own."""
    directory = tmp_path / "forebay-server"
    directory.mkdir()
    with serving(directory, **forebay_settings) as server:
        yield server
