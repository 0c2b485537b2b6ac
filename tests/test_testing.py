"""The fixtures for users' tests, used as they use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import forebay
from forebay import testing
from forebay.testing import Server
from support.harness import COMMAND_SECONDS, batch

pytestmark = pytest.mark.slow


def test_an_engine_is_an_open_log_of_the_test_s_own(forebay_engine: forebay.Log, tmp_path: Path) -> None:
    forebay_engine.create_stream("orders")
    forebay_engine.append("orders", {"id": 1})
    assert list(forebay_engine.read("orders", 0)) == [{"id": 1}]
    assert (tmp_path / "forebay-engine").is_dir()
    assert forebay_engine.stats()["durability"] == "memory"


def test_the_next_one_is_empty(forebay_engine: forebay.Log) -> None:
    assert "orders" not in [stream.name for stream in forebay_engine.streams()]


def test_a_server_takes_its_token_only(forebay_server: Server) -> None:
    streams = f"{forebay_server.url}/api/v1/streams"
    assert httpx.get(streams).status_code == 401
    assert httpx.get(streams, headers=forebay_server.headers).status_code == 200
    sent = httpx.post(f"{forebay_server.url}/v1/drain", content=batch(), headers=forebay_server.headers)
    assert (sent.status_code, sent.headers["forebay-durability"]) == (202, "memory")


class TestSettings:
    @pytest.fixture
    def forebay_settings(self) -> dict[str, object]:
        return {"durability": "fsync", "max_body_bytes": 2048, "no_auth": True}

    def test_reach_both(self, forebay_server: Server, forebay_engine: forebay.Log) -> None:
        assert forebay_engine.stats()["durability"] == "fsync"
        assert forebay_server.token == ""
        sent = httpx.post(f"{forebay_server.url}/v1/drain", content=b" " * 2049)
        assert sent.status_code == 413


def test_a_server_ends_with_its_block_and_its_data_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_NO_SUCH_SETTING", "would stop the start")
    with testing.serving(tmp_path) as server:
        sent = httpx.post(f"{server.url}/v1/drain", content=batch(), headers=server.headers)
        assert sent.status_code == 202
    assert server.process.returncode == 0
    with forebay.open(server.data_dir, read_only=True) as log:
        [logs] = [stream for stream in log.streams() if stream.name == "logs"]
        assert sum(end - start for start, end in logs.partitions) == 1


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="status 2(.|\n)*durability"), testing.serving(tmp_path, durability="none"):
        pass


def test_a_server_that_a_test_killed_is_no_trouble(forebay_server: Server) -> None:
    forebay_server.process.kill()
    forebay_server.process.wait()


def run_pytest(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(directory), str(directory)],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def test_other_test_runs_do_not_load_forebay(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, "import sys\n\ndef test_it():\n    assert 'forebay' not in sys.modules\n")
    assert ended.returncode == 0, ended.stdout


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    lines = [line[4:] for line in (testing.__doc__ or "").splitlines() if line.startswith("    ") or not line]
    example = "\n".join(["import forebay.testing, httpx, pytest", *lines])
    ended = run_pytest(tmp_path, example + "\n\ndef test_shared(server):\n    assert server.url\n")
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout
